package render

import "slices"

// distinctPorts returns the ports in their order, each once. An image that exposes both
// "8080" and "8080/tcp" makes Cloud Controller send 8080 twice.
func distinctPorts(ports []int32) []int32 {
	var distinct []int32
	for _, port := range ports {
		if !slices.Contains(distinct, port) {
			distinct = append(distinct, port)
		}
	}
	return distinct
}
