package main

import (
	"net"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
)

func TestCheckWantsAllPorts(t *testing.T) {
	g := NewWithT(t)
	var ports []string
	for range 3 {
		listener, err := net.Listen("tcp", "127.0.0.2:0")
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { _ = listener.Close() })
		ports = append(ports, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	}
	closed, err := net.Listen("tcp", "127.0.0.2:0")
	g.Expect(err).NotTo(HaveOccurred())
	refusing := strconv.Itoa(closed.Addr().(*net.TCPAddr).Port)
	g.Expect(closed.Close()).To(Succeed())
	for _, c := range []struct {
		status int
		output string
		args   []string
	}{
		{0, "", append([]string{"10s"}, ports...)},
		{1, "port " + refusing + " refused the connection\n", append([]string{"10s"}, ports[0], refusing, ports[1])},
		{1, "\"x\" is not a port number\n", []string{"10s", ports[0], "x"}},
		{statusUsage, "launch: check: time: invalid duration \"soon\"\n", []string{"soon", ports[0]}},
	} {
		d := newDroplet(t).with("CF_INSTANCE_INTERNAL_IP", "127.0.0.2").with("CF_INSTANCE_IP", "192.0.2.1").with("START_COMMAND", "echo started")
		d.args = append([]string{"check"}, c.args...)
		r := d.run(t)
		g.Expect(r.status).To(Equal(c.status), "%v", c.args)
		g.Expect(r.stderr.String()).To(Equal(c.output))
		g.Expect(r.stdout.String()).To(BeEmpty())
	}
}

func TestCheckNamesAPortThatDoesNotAnswer(t *testing.T) {
	// No connection can be made within no time.
	NewWithT(t).Expect(connect("127.0.0.1", "9", 1)).To(MatchError("port 9 did not answer within 1ns"))
}

func TestAStartCommandNamedCheckIsNoCheck(t *testing.T) {
	r := newDroplet(t).file(t, "app/check", "#!/bin/sh\necho mine").with("PATH", "/usr/bin:/bin:.")
	r.args = []string{"check"}
	NewWithT(t).Expect(r.run(t).stdout.String()).To(Equal("mine\n"))
}
