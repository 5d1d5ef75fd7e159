package bbs

import (
	"encoding/json"
	"errors"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// sshRoute is what Irene reads of the route for SSH.
type sshRoute struct {
	ContainerPort uint32 `json:"container_port"`
}

// readRoutes returns the routes of an LRP, and apart from them the one for SSH, which is
// secret: its text, nil if there is none, and its port.
func readRoutes(wire *models.Routes) (routes opi.Routes, ssh json.RawMessage, sshPort uint32, err error) {
	if wire == nil {
		return opi.Routes{}, nil, 0, nil
	}
	update, err := readRouteUpdate(*wire)
	routes = update.Routes()
	text := (*wire)[sshKind]
	if text == nil {
		return routes, nil, 0, err
	}
	var route sshRoute
	if json.Unmarshal(*text, &route) != nil {
		// The value is secret, and so are parts of it in an error.
		return routes, nil, 0, errors.Join(err, opi.Invalid("routes."+sshKind, "is not a JSON object with a container_port"))
	}
	return routes, *text, route.ContainerPort, err
}

// appPorts returns the ports that the app listens on. Cloud Controller puts the port of the
// SSH daemon behind them.
func appPorts(ports []uint32, sshPort uint32) []int32 {
	if last := len(ports) - 1; last >= 0 && sshPort != 0 && ports[last] == sshPort {
		ports = ports[:last]
	}
	var own []int32
	for _, port := range ports {
		own = append(own, saturated(port))
	}
	return own
}
