package main

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestGuideCanBePasted(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{
		options: options{dir: "/d", bin: "/b"}, folder: &folder{path: "/d"},
		state:   state{API: "127.0.0.1:8085", Observe: "127.0.0.1:9102"},
		cluster: clusterReady{Kubeconfig: "/d/cluster/kubeconfig"},
		app:     sampleApp{guid: "g", version: "v", url: "http://10.0.0.1:8080"},
	}
	text := c.guide()
	g.Expect(text).NotTo(ContainSubstring("%!"))
	for _, line := range []string{
		"curl http://10.0.0.1:8080/\n",
		"export KUBECONFIG=/d/cluster/kubeconfig PATH=/d/bin:$PATH\n",
		"API=http://127.0.0.1:8085 GUID=g VERSION=v\n",
		"curl http://127.0.0.1:9102/readyz",
		" down --dir /d --bin /b\n",
	} {
		g.Expect(text).To(ContainSubstring(line))
	}
}
