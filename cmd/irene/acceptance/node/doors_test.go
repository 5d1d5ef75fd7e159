//go:build node

package node_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/bbsclient"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/recipe"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/runner"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/imageworks"
)

// door is a front door as Cloud Controller uses it.
type door interface {
	Desire(ctx context.Context, p cloudcontroller.Process) error
	Stop(ctx context.Context, processGUID string) error
	Instances(ctx context.Context, processGUID string) ([]cloudcontroller.Instance, error)
	List(ctx context.Context) (map[string]string, error)
	Stage(ctx context.Context, guid string, request []byte) error
	RunTask(ctx context.Context, task recipe.Task) error
}

// Names of the doors.
const (
	opiDoor = "OPI"
	bbsDoor = "BBS"
)

// door returns a front door of the present process by its name.
func (s *stagingInstallation) door(name string) door {
	GinkgoHelper()
	if name == opiDoor {
		return runner.NewOPI(s.Process.Client, s.cloudController.URL())
	}
	client, err := bbsclient.New(bbsclient.Options{URL: s.BBSURL, TLS: &bbsclient.TLS{
		CertificateFile: s.certificate, KeyFile: s.key, AuthorityFile: s.authority,
	}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(client.Close)
	return runner.NewBBS(client, s.cloudController.Recipes())
}

// Space and organization of the apps.
var (
	space        = cloudcontroller.Owner{GUID: "5a2c4e68-1b3d-4f5a-8c7e-9d0b1a2c3e03", Name: "dev"}
	organization = cloudcontroller.Owner{GUID: "6b3d5f79-2c4e-4a6b-9d8f-0e1c2b3d4f04", Name: "acme"}
)

// webProcess returns the web process of what was staged, which Cloud Controller then has.
func (s *stagingInstallation) webProcess(staged standin.Build) cloudcontroller.Process {
	GinkgoHelper()
	p := cloudcontroller.Process{
		App: cloudcontroller.Owner{GUID: staged.AppGUID, Name: staged.AppName}, Space: space, Organization: organization,
		Type: "web", GUID: staged.AppGUID, Version: cloudcontroller.NewGUID(), Instances: 1, Command: staged.ProcessTypes["web"],
		Stack: imageworks.StackName, Droplet: stagedDroplet(staged), MemoryMB: 64, DiskMB: 64,
		Hostnames: []string{staged.AppName + ".apps.example.com"}, HealthCheck: "port", UpdatedAt: time.Now(),
	}
	Expect(s.cloudController.SetCurrentDroplet(p.GUID, staged.GUID)).To(Succeed())
	s.cloudController.AddProcess(p.GUID)
	return p
}

func stagedDroplet(staged standin.Build) cloudcontroller.ProcessDroplet {
	return cloudcontroller.ProcessDroplet{GUID: staged.Droplet.GUID, SHA1: staged.Droplet.Blob.SHA1, SHA256: staged.Droplet.Blob.SHA256}
}

// states returns those of all instances of a process in order.
func states(d door, p cloudcontroller.Process) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		instances, err := d.Instances(ctx, p.ProcessGUID())
		found := []string{}
		for _, instance := range instances {
			found = append(found, instance.State)
		}
		return found, err
	}
}
