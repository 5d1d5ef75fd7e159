package bbs

import (
	"testing"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

const taskGUID = "a7000000-0000-4000-8000-000000000020"

func TestTasksOfCloudController(t *testing.T) {
	migrate := opi.Task{
		GUID: taskGUID, Door: opi.DoorBBS, Name: "migrate", Domain: "cf-tasks",
		App: doraApp, Space: devSpace, Organization: acmeOrg,
		RootFS: opi.RootFS{Stack: "cflinuxfs4"},
		Droplet: &opi.Droplet{
			Checksum: opi.Checksum{Algorithm: "sha256", Value: dropletSHA256},
			URL:      "https://blobstore.service.cf.internal:4443/read/cc-droplets/d1/00/d1000000-0000-4000-8000-000000000011/4d1a0c7b9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b?md5=b7Cg0h1yq5o9pXzLhM3aQ8&expires=1796000000",
		},
		Process:                 opi.Process{Command: []string{"bin/rake db:migrate"}},
		Limits:                  opi.Limits{MemoryMiB: 512, DiskMiB: 1024, CPUWeight: 6, PIDs: 1024, LogBytesPerSecond: &unlimited},
		MetricTags:              appTags(),
		OrganizationalUnits:     doraUnits,
		TrustedCertificatesPath: systemCerts,
		CompletionCallback:      "https://cloud-controller-ng.service.cf.internal:9023/internal/v4/tasks/" + taskGUID + "/completed",
	}
	environment := func(services string) map[string]string {
		return withVariables(map[string]string{
			"RUNNING_GROUP_VAR": "from-operator", "VCAP_APPLICATION": taskApplication(512, 1024), "MEMORY_LIMIT": "512m", "VCAP_SERVICES": services,
		})
	}
	for number, change := range map[string]func(*opi.Task){
		"30": func(task *opi.Task) {
			task.Environment = environment(servicesText)
			task.Environment["DATABASE_URL"] = databaseURL
			task.Volumes = []opi.Volume{nfsVolume}
			task.EgressRules = runningRules()
			task.PlacementTags = []string{"segment-one"}
		},
		"31": func(task *opi.Task) { // the droplet is downloaded by an action
			task.Environment = environment("{}")
		},
		"32": func(task *opi.Task) { // a private docker image, of which the metadata is not sent
			task.Environment = environment("{}")
			task.RootFS = opi.RootFS{Image: &opi.Image{
				Reference: "registry.example.com:5000/team/web:1.2", Credentials: &opi.RegistryCredentials{Username: "robot", Password: "pa$$word"},
			}}
			task.Droplet = nil
			task.Process = opi.Process{Command: []string{"/bin/sh", "-c", "bin/rake db:migrate"}, User: "nginx"}
		},
	} {
		t.Run(number, func(t *testing.T) {
			g := NewWithT(t)
			wanted := migrate
			change(&wanted)
			request := exampleTask(t, number)
			got, err := task(request.TaskDefinition, request.TaskGuid, request.Domain)
			g.Expect(err).NotTo(HaveOccurred())
			expectEqual(t, got, wanted)

			normalized, err := got.Normalize()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(normalized.Validate()).To(Succeed())
		})
	}
}

// bareTask is the least that is a task.
func bareTask() *models.TaskDefinition {
	return &models.TaskDefinition{RootFs: "preloaded:cflinuxfs4", MemoryMb: 128, Action: serial(dropletDownload(), launcherRun("APP/TASK/x"))}
}

func TestTasksThatDoNotFit(t *testing.T) {
	for refusal, change := range map[string]func(*models.TaskDefinition){
		`action: has no action`: func(wire *models.TaskDefinition) { wire.Action = nil },
		`action: has no run`:    func(wire *models.TaskDefinition) { wire.Action = serial() },
		`action.serial.actions[0].download: is not supported: a task has downloads and then one run`: func(wire *models.TaskDefinition) {
			wire.Action = serial(dropletDownload())
		},
		`action.serial.actions[0].run: is not supported: a task has downloads and then one run`: func(wire *models.TaskDefinition) {
			wire.Action = serial(launcherRun("APP/TASK/x"), launcherRun("APP/TASK/x"))
		},
		`action.codependent: is not supported here`: func(wire *models.TaskDefinition) {
			wire.Action = codependent(launcherRun("APP/TASK/x"))
		},
		`action.timeout: is not supported here`: func(wire *models.TaskDefinition) {
			wire.Action = models.WrapAction(models.Timeout(launcherRun("APP/TASK/x"), 1e9))
		},
		`action.serial.actions[1].run: path "/bin/bash" is not the launcher`: func(wire *models.TaskDefinition) {
			wire.Action.SerialAction.Actions[1].RunAction.Path = "/bin/bash"
		},
		`action.serial.actions[1].download: is a second droplet, next to action.serial.actions[0].download`: func(wire *models.TaskDefinition) {
			wire.Action = serial(dropletDownload(), dropletDownload(), launcherRun("APP/TASK/x"))
		},
		`action.serial.actions[1].run.dir: is not supported: programs start in the directory of the app`: func(wire *models.TaskDefinition) {
			wire.Action.SerialAction.Actions[1].RunAction.Dir = "/srv"
		},
		`privileged: privileged containers are not supported`: func(wire *models.TaskDefinition) { wire.Privileged = true },
		`result_file: is supported for staging only`:          func(wire *models.TaskDefinition) { wire.ResultFile = "/tmp/result" },
		`lifecycle: Cloud Native Buildpacks (cnb) are not supported on this platform; push the app with the lifecycle buildpack or docker`: func(wire *models.TaskDefinition) {
			*wire = *exampleTask(t, "33").TaskDefinition
		},
	} {
		t.Run(refusal, func(t *testing.T) {
			g := NewWithT(t)
			wire := bareTask()
			change(wire)
			_, err := task(wire, taskGUID, "cf-tasks")
			g.Expect(errorText(err)).To(Equal(refusal))
		})
	}
}

// The bundle of a task in the declarative form does not name Cloud Native Buildpacks; the
// launcher's arguments do.
func TestCloudNativeTaskByItsArguments(t *testing.T) {
	g := NewWithT(t)
	wire := bareTask()
	wire.Action.SerialAction.Actions[1].RunAction.Args = []string{"--", "run"}
	_, err := task(wire, taskGUID, "cf-tasks")
	g.Expect(errorText(err)).To(HavePrefix("lifecycle: Cloud Native Buildpacks"))
}
