package main

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"
)

const (
	preferredCloudControllerPort = "9022"
	preferredControl             = "127.0.0.1:8083"
	// cloudControllerName is the log of the stand-in of Cloud Controller, and its folder.
	cloudControllerName = "cloudcontroller"
	cloudControllerStop = 10 * time.Second
)

// startCloudController starts the stand-in of Cloud Controller on the address that the
// pods of builds reach.
func (c *cloud) startCloudController(ctx context.Context) (string, error) {
	if !c.state.CloudController.alive() {
		if err := errors.Join(
			chooseAddress(&c.state.CloudControllerAddress, net.JoinHostPort(c.cluster.NodeAddress, preferredCloudControllerPort)),
			chooseAddress(&c.state.ControlAddress, preferredControl),
		); err != nil {
			return "", err
		}
	}
	if err := c.makeCertificates(); err != nil {
		return "", err
	}
	// It reads the buildpacks' program and its certificate once; with others it has to start again.
	fileserver, err := digestOf(c.program(fileserverProgram))
	if err != nil {
		return "", err
	}
	certificate, err := digestOf(c.certificate(cloudControllerCertificate))
	if err != nil {
		return "", err
	}
	o := cloudControllerOptions{
		address: c.state.CloudControllerAddress, control: c.state.ControlAddress,
		content: c.at(cloudControllerName), certificates: c.at(certificatesName), fileserver: c.program(fileserverProgram),
	}
	config := strings.Join(append(o.arguments(), fileserver, certificate), "\n") + "\n"
	note, err := c.keep(ctx, service{
		name: cloudControllerName, process: &c.state.CloudController, program: c.program(devProgram), args: o.arguments(),
		configured: func() (bool, error) { return fileHolds(c.at(cloudControllerConfig), config) },
		configure:  func() error { return os.WriteFile(c.at(cloudControllerConfig), []byte(config), 0o600) },
		readyURL:   c.control(""), stop: cloudControllerStop,
	})
	if err != nil {
		return "", err
	}
	return note + ", listening at " + c.cloudControllerURL() + " with mutual TLS", nil
}

// control is the URL of a path of the stand-in's control desk.
func (c *cloud) control(path string) string { return "http://" + c.state.ControlAddress + "/" + path }

// dropletURL is where a droplet is found, with Irene's place holders for guid and hash.
func (c *cloud) dropletURL(guid, hash string) string {
	return c.control("droplets/" + guid + "/" + hash)
}

// dropletFile is where the stand-in keeps a droplet.
func (c *cloud) dropletFile(guid string, hash ...string) string {
	return c.at(append([]string{cloudControllerName, dropletsFolder, guid}, hash...)...)
}
