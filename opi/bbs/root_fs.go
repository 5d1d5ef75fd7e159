package bbs

import "strings"

// stackScheme comes before the name of a stack.
const stackScheme = "preloaded:"

// wireRootFS returns the root file system as a URL in Diego's form (contract/bbs.md 3.4). One
// of the two is empty; with neither, the answer is the default stack, which has no name here.
func wireRootFS(stack, image string) string {
	if image == "" {
		return stackScheme + stack
	}
	name, digest, _ := strings.Cut(image, "@")
	tag := ""
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, tag = name[:colon], name[colon+1:]
	}
	host, path, hasHost := strings.Cut(name, "/")
	switch {
	case !hasHost:
		host, path = "", "library/"+name
	case host == "docker.io":
		host = ""
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		host, path = "", name
	}
	url := "docker://" + host + "/" + path
	switch {
	case digest != "" && tag != "":
		return url + "#" + tag + "@" + digest
	case digest != "":
		algorithm, value, _ := strings.Cut(digest, ":")
		return url + "@" + algorithm + "#" + value
	case tag != "":
		return url + "#" + tag
	}
	return url
}
