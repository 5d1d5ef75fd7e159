package main

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

func TestProcessesOfANewVersion(t *testing.T) {
	g := NewWithT(t)
	p := &pushing{
		cloud: &cloud{}, pushOptions: pushOptions{name: "app", memoryMB: 64, diskMB: 128},
		app: pushedApp{GUID: appGUID("app"), Version: "v"},
		build: standin.Build{
			ProcessTypes: map[string]string{"web": "serve", "worker": "work"},
			Sidecars:     []standin.Sidecar{{Name: "greeter", Command: "greet", ProcessTypes: []string{"web"}, Memory: 16}},
			Droplet:      &standin.Droplet{GUID: "droplet", Blob: standin.Blob{SHA1: "1", SHA256: "256"}},
		},
	}
	web, worker := p.process("web", pushedApp{}), p.process("worker", pushedApp{})
	g.Expect([]int{web.Instances, worker.Instances}).To(Equal([]int{1, 0}))
	g.Expect(web.Sidecars).To(Equal([]cloudcontroller.Sidecar{{Name: "greeter", Command: "greet", MemoryMB: 16}}))
	g.Expect(worker.Sidecars).To(BeEmpty())
	g.Expect(web.Droplet).To(Equal(cloudcontroller.ProcessDroplet{GUID: "droplet", SHA1: "1", SHA256: "256"}))
	g.Expect(web.Hostnames).To(Equal([]string{"app.localhost"}))
	g.Expect(worker.Hostnames).To(BeEmpty())

	web.Instances, worker.Instances = 3, 2
	earlier := pushedApp{Processes: []cloudcontroller.Process{web, worker}}
	g.Expect([]int{p.process("web", earlier).Instances, p.process("worker", earlier).Instances}).To(Equal([]int{3, 2}), "an app keeps its scale")
	earlier.Processes[0].Instances = 0
	g.Expect(p.process("web", earlier).Instances).To(Equal(1))
}
