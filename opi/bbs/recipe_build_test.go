package bbs

import (
	"testing"
	"time"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

const (
	buildGUID = "e1000000-0000-4000-8000-000000000018"
	rubyKey   = "aa000000-0000-4000-8000-000000000016_1111111111111111111111111111111111111111"
	nodeKey   = "bb000000-0000-4000-8000-000000000017_2222222222222222222222222222222222222222"
	ones      = "1111111111111111111111111111111111111111111111111111111111111111"
	twos      = "2222222222222222222222222222222222222222222222222222222222222222"
	threes    = "3333333333333333333333333333333333333333333333333333333333333333"
	fours     = "4444444444444444444444444444444444444444444444444444444444444444"
	blobstore = "https://blobstore.service.cf.internal:4443/read/"
	uploader  = "https://cc-uploader.service.cf.internal:9091/v1/"
	cc        = "https%3A%2F%2Fcloud-controller-ng.service.cf.internal%3A9023%2Finternal%2Fv4%2F"
)

func TestBuildsOfCloudController(t *testing.T) {
	common := opi.Build{
		GUID: buildGUID, Door: opi.DoorBBS, Domain: "cf-app-staging", App: doraApp, Space: devSpace, Organization: acmeOrg,
		Limits:                  opi.Limits{MemoryMiB: 1024, DiskMiB: 4096, CPUWeight: 50, FileDescriptors: 16384, PIDs: 1024, LogBytesPerSecond: &unlimited},
		Timeout:                 15 * time.Minute,
		EgressRules:             []opi.EgressRule{dnsRule},
		MetricTags:              appTags(),
		OrganizationalUnits:     doraUnits,
		TrustedCertificatesPath: systemCerts,
		CompletionCallback:      "https://cloud-controller-ng.service.cf.internal:9023/internal/v3/staging/" + buildGUID + "/build_completed?start=false",
	}
	environment := func(more map[string]string) map[string]string {
		all := withVariables(map[string]string{"STAGING_GROUP_VAR": "from-operator", "MEMORY_LIMIT": "1024m", "VCAP_APPLICATION": taskApplication(1024, 4096)})
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	source := opi.Source{
		Stack:            "cflinuxfs4",
		AppBitsURL:       blobstore + "cc-packages/f1/00/f1000000-0000-4000-8000-000000000019?md5=0h1yq5o9pXzLhM3aQ8b7Cg&expires=1796000000",
		AppBitsChecksum:  opi.Checksum{Algorithm: "sha256", Value: threes},
		CacheDownloadURL: blobstore + "cc-droplets/buildpack_cache/1f/1b/" + doraGUID + "/cflinuxfs4?md5=Zk3m0aXw1Yb2Tn4cV5e6Fg&expires=1796000000",
		CacheChecksum:    opi.Checksum{Algorithm: "sha256", Value: fours},
		DropletUploadURL: uploader + "droplet/" + buildGUID + "?cc-droplet-upload-uri=" + cc + "droplets%2F" + buildGUID + "%2Fupload&timeout=900",
		CacheUploadURL:   uploader + "build_artifacts/" + buildGUID + "?cc-build-artifacts-upload-uri=" + cc + "buildpack_cache%2Fcflinuxfs4%2F" + doraGUID + "%2Fupload&timeout=900",
	}
	ruby := opi.Buildpack{Name: "ruby_buildpack", Key: rubyKey, URL: blobstore + "cc-buildpacks/aa/00/" + rubyKey + "?md5=Qw1er2ty3ui4op5as6df7g&expires=1796000000", Checksum: opi.Checksum{Algorithm: "sha256", Value: ones}}
	node := opi.Buildpack{Name: "nodejs_buildpack", Key: nodeKey, URL: blobstore + "cc-buildpacks/bb/00/" + nodeKey + "?md5=Qw1er2ty3ui4op5as6df7g&expires=1796000000", Checksum: opi.Checksum{Algorithm: "sha256", Value: twos}}
	for number, change := range map[string]func(*opi.Build){
		"20": func(build *opi.Build) { // image layers, detection
			build.Environment = environment(map[string]string{"LANG": "en_US.UTF-8", "VCAP_SERVICES": servicesText})
			build.Source = new(source)
			build.Source.Buildpacks = []opi.Buildpack{ruby, node}
			build.PlacementTags = []string{"segment-one"}
		},
		"21": func(build *opi.Build) { // actions, a custom buildpack, no detection
			build.Environment = environment(map[string]string{"LANG": "en_US.UTF-8", "VCAP_SERVICES": servicesText})
			build.Source = new(source)
			const custom = "https://github.com/cloudfoundry/ruby-buildpack#v1"
			ruby := ruby
			ruby.SkipDetect = true
			build.Source.Buildpacks = []opi.Buildpack{{Name: "custom", Key: custom, URL: custom, SkipDetect: true}, ruby}
		},
		"22": func(build *opi.Build) { // a private docker image
			build.Environment = environment(map[string]string{"VCAP_SERVICES": "{}"})
			build.Image = &opi.Image{Reference: "registry.example.com:5000/team/web:1.2", Credentials: &opi.RegistryCredentials{Username: "robot", Password: "pa$$word"}}
		},
	} {
		t.Run(number, func(t *testing.T) {
			g := NewWithT(t)
			wanted := common
			change(&wanted)
			request := exampleTask(t, number)
			got, err := build(request.TaskDefinition, request.TaskGuid)
			g.Expect(err).NotTo(HaveOccurred())
			expectEqual(t, got, wanted)

			normalized, err := got.Normalize()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(normalized.Validate()).To(Succeed())
		})
	}
}

// bareBuild is the least that is a build.
func bareBuild() *models.TaskDefinition {
	return &models.TaskDefinition{RootFs: "preloaded:cflinuxfs4", MemoryMb: 128, Action: serial(
		&models.DownloadAction{From: "https://blobstore.internal/app", To: "/tmp/app"},
		&models.RunAction{Path: "/tmp/lifecycle/builder", Args: []string{"-buildpackOrder=https://github.com/x/y"}},
		&models.UploadAction{From: "/tmp/droplet", To: "https://uploader.internal/droplet"},
	)}
}

func buildAction(wire *models.TaskDefinition, i int) *models.Action {
	return wire.Action.SerialAction.Actions[i]
}

func TestBuildsThatDoNotFit(t *testing.T) {
	for refusal, change := range map[string]func(*models.TaskDefinition){
		`action: has no action`: func(wire *models.TaskDefinition) { wire.Action = nil },
		`action: has no run of the builder`: func(wire *models.TaskDefinition) {
			wire.Action = serial(dropletDownload())
		},
		`action.timeout.timeout_ms: must be positive, is 0`: func(wire *models.TaskDefinition) {
			wire.Action = models.WrapAction(models.Timeout(wire.Action.SerialAction, 0))
		},
		`action.timeout.action.codependent: is not supported here`: func(wire *models.TaskDefinition) {
			wire.Action = models.WrapAction(models.Timeout(models.Codependent(dropletDownload()), 1e9))
		},
		`action.serial.actions[1].run: path "/bin/make" is not the builder`: func(wire *models.TaskDefinition) {
			buildAction(wire, 1).RunAction.Path = "/bin/make"
		},
		`action.serial.actions[1].run.dir: is not supported: programs start in the directory of the app`: func(wire *models.TaskDefinition) {
			buildAction(wire, 1).RunAction.Dir = "/srv"
		},
		`action.serial.actions[0].upload: is not supported: a build has downloads, then one run, then uploads`: func(wire *models.TaskDefinition) {
			actions := wire.Action.SerialAction.Actions
			actions[0], actions[2] = actions[2], actions[0]
		},
		`action.parallel.actions[1].run: is not supported: a build has downloads, then one run, then uploads`: func(wire *models.TaskDefinition) {
			wire.Action = &models.Action{ParallelAction: &models.ParallelAction{Actions: wire.Action.SerialAction.Actions}}
		},
		`action.serial.actions[1].try.action.run: must not fail, but is tried`: func(wire *models.TaskDefinition) {
			wire.Action.SerialAction.Actions[1] = models.WrapAction(models.Try(buildAction(wire, 1).RunAction))
		},
		`action.serial.actions[0].try.action.download: must not fail, but is tried`: func(wire *models.TaskDefinition) {
			wire.Action.SerialAction.Actions[0] = models.WrapAction(models.Try(buildAction(wire, 0).DownloadAction))
		},
		`action.serial.actions[1].run.args[1]: is not a flag of the builder with its value`: func(wire *models.TaskDefinition) {
			run := buildAction(wire, 1).RunAction
			run.Args = append(run.Args, "-dockerSecret=s3cr3t")
		},
		`action.serial.actions[1].run.args[0]: is not a flag of the builder with its value`: func(wire *models.TaskDefinition) {
			buildAction(wire, 1).RunAction.Args[0] = "-skipDetect=perhaps"
		},
		`action.serial.actions[0].download.to: "/etc" is not the folder of the lifecycle, the app, the cache or a buildpack`: func(wire *models.TaskDefinition) {
			buildAction(wire, 0).DownloadAction.To = "/etc"
		},
		`action: has no download of the app package to /tmp/app, nor have image_layers`: func(wire *models.TaskDefinition) {
			buildAction(wire, 0).DownloadAction.To = "/tmp/cache"
		},
		`action.serial.actions[0].download.to: "/tmp/app" is the destination of image_layers[0], too`: func(wire *models.TaskDefinition) {
			wire.ImageLayers = []*models.ImageLayer{{Url: "https://blobstore.internal/app", DestinationPath: "/tmp/app"}}
		},
		`action.serial.actions[2].upload.from: "/etc/passwd" is neither the droplet nor the cache`: func(wire *models.TaskDefinition) {
			buildAction(wire, 2).UploadAction.From = "/etc/passwd"
		},
		`action.serial.actions[3].upload.from: "/tmp/droplet" is uploaded twice`: func(wire *models.TaskDefinition) {
			wire.Action.SerialAction.Actions = append(wire.Action.SerialAction.Actions, buildAction(wire, 2))
		},
		`action: has no upload of the droplet from /tmp/droplet`: func(wire *models.TaskDefinition) {
			wire.Action.SerialAction.Actions = wire.Action.SerialAction.Actions[:2]
		},
		`root_fs: is a docker image; builds with buildpacks have a stack`: func(wire *models.TaskDefinition) {
			wire.RootFs = "docker:///library/nginx"
		},
		`volume_mounts: are not supported for staging`: func(wire *models.TaskDefinition) {
			wire.VolumeMounts = []*models.VolumeMount{{}}
		},
		`privileged: privileged containers are not supported`: func(wire *models.TaskDefinition) { wire.Privileged = true },
		`lifecycle: Cloud Native Buildpacks (cnb) are not supported on this platform; push the app with the lifecycle buildpack or docker`: func(wire *models.TaskDefinition) {
			*wire = *exampleTask(t, "23").TaskDefinition
		},
		`action.serial.actions[2].upload: is not supported for a docker image`: func(wire *models.TaskDefinition) {
			buildAction(wire, 0).DownloadAction.To = "/tmp/lifecycle"
			buildAction(wire, 1).RunAction.Args = []string{"-dockerRef=nginx"}
		},
	} {
		t.Run(refusal, func(t *testing.T) {
			g := NewWithT(t)
			wire := bareBuild()
			change(wire)
			_, err := build(wire, buildGUID)
			g.Expect(errorText(err)).To(Equal(refusal))
		})
	}
}

// Forms that differ from the examples.
func TestBuildsBeyondTheExamples(t *testing.T) {
	for name, change := range map[string]func(*models.TaskDefinition, *opi.Build){
		"no timeout": func(*models.TaskDefinition, *opi.Build) {},
		"folders named by MD5": func(wire *models.TaskDefinition, build *opi.Build) {
			wire.CachedDependencies = []*models.CachedDependency{{
				Name: "ruby", From: "https://blobstore.internal/ruby", To: "/tmp/buildpacks/fc266d39967b798f012c820d9c9ab0b6", CacheKey: "key",
				ChecksumAlgorithm: "sha256", ChecksumValue: ones,
			}}
			buildAction(wire, 1).RunAction.Args = []string{"-buildpackOrder=ruby-key", "-skipDetect=true", "-skipCertVerify=true"}
			build.Source.SkipCertVerify = true
			build.Source.Buildpacks = []opi.Buildpack{{Name: "ruby", Key: "ruby-key", URL: "https://blobstore.internal/ruby", Checksum: opi.Checksum{Algorithm: "sha256", Value: ones}, SkipDetect: true}}
		},
		"a buildpack without a file": func(wire *models.TaskDefinition, build *opi.Build) {
			buildAction(wire, 1).RunAction.Args = []string{"-buildpackOrder=lost-key,https://github.com/x/y"}
			build.Source.Buildpacks = append([]opi.Buildpack{{Name: "lost-key", Key: "lost-key"}}, build.Source.Buildpacks...)
		},
		"a cache without a checksum is left out": func(wire *models.TaskDefinition, _ *opi.Build) {
			wire.ImageLayers = []*models.ImageLayer{{Url: "https://blobstore.internal/cache", DestinationPath: "/tmp/cache"}}
		},
		"a package with sha1": func(wire *models.TaskDefinition, build *opi.Build) {
			download := buildAction(wire, 0).DownloadAction
			download.ChecksumAlgorithm, download.ChecksumValue = "sha1", ones[:40]
			build.Source.AppBitsChecksum = opi.Checksum{Algorithm: "sha1", Value: ones[:40]}
		},
		"an image with insecure registries": func(wire *models.TaskDefinition, build *opi.Build) {
			wire.Action = models.WrapAction(&models.RunAction{Path: builderPath, Args: []string{"-dockerRef=nginx", "-insecureDockerRegistries=a,b", "-dockerUser=u", "-dockerPassword=p=q"}})
			build.Source, build.Image = nil, &opi.Image{Reference: "nginx", Credentials: &opi.RegistryCredentials{Username: "u", Password: "p=q"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			wire := bareBuild()
			wanted := opi.Build{
				GUID: buildGUID, Door: opi.DoorBBS, Domain: "cf-app-staging", Limits: opi.Limits{MemoryMiB: 128},
				Source: &opi.Source{
					Stack: "cflinuxfs4", AppBitsURL: "https://blobstore.internal/app", DropletUploadURL: "https://uploader.internal/droplet",
					Buildpacks: []opi.Buildpack{{Name: "custom", Key: "https://github.com/x/y", URL: "https://github.com/x/y"}},
				},
			}
			change(wire, &wanted)
			got, err := build(wire, buildGUID)
			g.Expect(err).NotTo(HaveOccurred())
			expectEqual(t, got, wanted)
		})
	}
}

// Faults that only the domain finds have names that the sender knows.
func TestNamesOfFaultsInBuildsAndTasks(t *testing.T) {
	g := NewWithT(t)
	wire := bareBuild()
	buildAction(wire, 0).DownloadAction.From = "file:///etc/passwd"
	buildAction(wire, 1).RunAction.Args = nil
	buildAction(wire, 2).UploadAction.To = "droplet"
	found, err := build(wire, buildGUID)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(faults(found.Validate())).To(Equal("completion_callback_url: is not an http or https URL; app package: is not an http or https URL; " +
		"upload of the droplet: is not an http or https URL; buildpacks: there is none"))

	work := bareTask()
	work.Action.SerialAction.Actions[1].RunAction.Args[1] = ""
	ran, err := task(work, taskGUID, "cf-tasks")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(faults(ran.Validate())).To(HavePrefix("completion_callback_url: is not an http or https URL; metric_tags.app_id: "))
	g.Expect(faults(ran.Validate())).To(HaveSuffix("action.command: is missing: a droplet's own command starts the app, not a task"))
}
