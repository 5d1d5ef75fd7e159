package bbs

import (
	"encoding/json"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// launcherRun is the launcher's action as Cloud Controller has it for an app without
// environment.
func launcherRun(source string) *models.RunAction {
	return &models.RunAction{Path: "/tmp/lifecycle/launcher", Args: []string{"app", "run", ""}, User: "vcap", LogSource: source}
}

func codependent(actions ...models.ActionInterface) *models.Action {
	return models.WrapAction(models.Codependent(actions...))
}

func serial(actions ...models.ActionInterface) *models.Action {
	return models.WrapAction(models.Serial(actions...))
}

func dropletDownload() *models.DownloadAction {
	return &models.DownloadAction{Artifact: "droplet", From: "https://cc.internal/droplet", To: ".", User: "vcap", ChecksumAlgorithm: "sha256", ChecksumValue: dropletSHA256}
}

// bareLRP is the least that is an app.
func bareLRP() *models.DesiredLRP {
	return &models.DesiredLRP{
		ProcessGuid: "some-process", Domain: "some-domain", RootFs: "preloaded:cflinuxfs4", MemoryMb: 128,
		Setup: models.WrapAction(dropletDownload()), Action: models.WrapAction(launcherRun("APP")),
	}
}

func TestLRPsThatDoNotFit(t *testing.T) {
	route := func(kind, text string) *models.Routes {
		raw := json.RawMessage(text)
		return &models.Routes{kind: &raw}
	}
	for refusal, change := range map[string]func(*models.DesiredLRP){
		// The tree.
		`action: has no action`: func(wire *models.DesiredLRP) { wire.Action = nil },
		`action.codependent.actions[1].run: path "/bin/x" is neither the launcher nor diego-sshd`: func(wire *models.DesiredLRP) {
			wire.Action = codependent(launcherRun("APP"), &models.RunAction{Path: "/bin/x", User: "vcap"})
		},
		`action.run: path "/tmp/grace/grace" is neither the launcher nor diego-sshd`: func(wire *models.DesiredLRP) {
			wire.Action.RunAction.Path = "/tmp/grace/grace"
		},
		`action: is run and serial at once`: func(wire *models.DesiredLRP) {
			wire.Action.SerialAction = models.Serial(launcherRun("APP"))
		},
		`action.codependent.actions[0]: has no action`: func(wire *models.DesiredLRP) {
			wire.Action = &models.Action{CodependentAction: &models.CodependentAction{Actions: []*models.Action{{}}}}
		},
		`action: has no launcher of an app`: func(wire *models.DesiredLRP) {
			wire.Action = codependent(launcherRun("APP/PROC/WEB/SIDECAR/X"))
		},
		`action.codependent.actions[2].run: is a second app, next to action.codependent.actions[0].run; the log_source of a sidecar has /SIDECAR/ and its name`: func(wire *models.DesiredLRP) {
			wire.Action = codependent(launcherRun("APP/PROC/WEB"), launcherRun("APP/PROC/WEB/SIDECAR/X"), launcherRun("APP/PROC/WEB"))
		},
		`action.codependent.actions[2].run: is a second SSH daemon, next to action.codependent.actions[1].run`: func(wire *models.DesiredLRP) {
			sshd := &models.RunAction{Path: "/tmp/lifecycle/diego-sshd", User: "vcap"}
			wire.Action = codependent(launcherRun("APP"), sshd, sshd)
		},
		`action.codependent.actions[0].codependent: is not supported as a process of an app`: func(wire *models.DesiredLRP) {
			wire.Action = codependent(models.Codependent(launcherRun("APP")))
		},
		`action.parallel: has 2 actions where one is supported`: func(wire *models.DesiredLRP) {
			wire.Action = models.WrapAction(models.Parallel(launcherRun("APP"), launcherRun("APP")))
		},
		`action.serial.actions[0].download: is not supported as a process of an app`: func(wire *models.DesiredLRP) {
			wire.Action = serial(dropletDownload())
		},
		`action.try: is not supported as a process of an app`: func(wire *models.DesiredLRP) {
			wire.Action = models.WrapAction(models.Try(launcherRun("APP")))
		},
		`action.timeout: is not supported as a process of an app`: func(wire *models.DesiredLRP) {
			wire.Action = models.WrapAction(models.Timeout(launcherRun("APP"), 1e9))
		},
		`action.run.dir: is not supported: programs start in the directory of the app`: func(wire *models.DesiredLRP) {
			wire.Action.RunAction.Dir = "/srv"
		},
		`action.run.suppress_log_output: is not supported`: func(wire *models.DesiredLRP) {
			wire.Action.RunAction.SuppressLogOutput = true
		},
		`action.run.volume_mounted_files: is not supported for a single process`: func(wire *models.DesiredLRP) {
			wire.Action.RunAction.VolumeMountedFiles = []*models.File{{Path: "a"}}
		},
		`action.run.resource_limits.nproc: is not supported; max_pids bounds the processes of an instance`: func(wire *models.DesiredLRP) {
			wire.Action.RunAction.ResourceLimits = &models.ResourceLimits{OptionalNproc: &models.ResourceLimits_Nproc{Nproc: 5}}
		},
		`action.run.args: has 1 words; the launcher takes app, a start command and execution metadata`: func(wire *models.DesiredLRP) {
			wire.Action.RunAction.Args = []string{"app"}
		},
		`action.run.args[0]: "/app" is not app`: func(wire *models.DesiredLRP) {
			wire.Action.RunAction.Args[0] = "/app"
		},
		`action.codependent.actions[1].run.resource_limits.nofile: is 7, and 0 for the app; all processes of an instance have one limit`: func(wire *models.DesiredLRP) {
			sidecar := launcherRun("APP/PROC/WEB/SIDECAR/X")
			sidecar.ResourceLimits = &models.ResourceLimits{}
			sidecar.ResourceLimits.SetNofile(7)
			wire.Action = codependent(launcherRun("APP"), sidecar)
		},
		`action.codependent.actions[1].run.env: lacks FOO, which the app has`: func(wire *models.DesiredLRP) {
			app := launcherRun("APP")
			app.Env = []*models.EnvironmentVariable{{Name: "FOO"}, {Name: "GOO"}}
			wire.Action = codependent(app, launcherRun("APP/PROC/WEB/SIDECAR/X"))
		},
		`lifecycle: Cloud Native Buildpacks (cnb) are not supported on this platform; push the app with the lifecycle buildpack or docker`: func(wire *models.DesiredLRP) {
			wire.CachedDependencies = []*models.CachedDependency{{To: "/tmp/lifecycle", CacheKey: "cnb-cflinuxfs4-lifecycle"}}
		},

		// The droplet.
		`setup.serial.actions[1].run: is not supported in the setup`: func(wire *models.DesiredLRP) {
			wire.Setup = serial(dropletDownload(), launcherRun("APP"))
		},
		`setup.serial.actions[0].try: is not supported here`: func(wire *models.DesiredLRP) {
			wire.Setup = serial(models.Try(dropletDownload()))
		},
		`setup.serial.actions[1].download: is a second droplet, next to setup.serial.actions[0].download`: func(wire *models.DesiredLRP) {
			wire.Setup = serial(dropletDownload(), dropletDownload())
		},
		`setup.download: is a second droplet, next to image_layers[0]`: func(wire *models.DesiredLRP) {
			wire.ImageLayers = []*models.ImageLayer{{DestinationPath: "/home/vcap/", Url: "u", DigestAlgorithm: models.DigestAlgorithmSha256, DigestValue: dropletSHA256}}
		},
		`setup.download.to: "/tmp/grace" is not the folder of the lifecycle (/tmp/lifecycle) or of the droplet (/home/vcap)`: func(wire *models.DesiredLRP) {
			wire.Setup.DownloadAction.To = "/tmp/grace"
		},
		`image_layers[0].destination_path: "/etc/x" is not the folder of the lifecycle (/tmp/lifecycle) or of the droplet (/home/vcap)`: func(wire *models.DesiredLRP) {
			wire.ImageLayers = []*models.ImageLayer{{DestinationPath: "/etc/x"}}
		},
		`cached_dependencies[0].to: "/opt" is not the folder of the lifecycle (/tmp/lifecycle) or of the droplet (/home/vcap)`: func(wire *models.DesiredLRP) {
			wire.CachedDependencies = []*models.CachedDependency{{To: "/opt"}}
		},
		`setup.download.checksum_value: is missing`: func(wire *models.DesiredLRP) {
			wire.Setup.DownloadAction.ChecksumAlgorithm, wire.Setup.DownloadAction.ChecksumValue = "", ""
		},
		`setup.download.checksum_algorithm: "md5" is neither sha1 nor sha256`: func(wire *models.DesiredLRP) {
			wire.Setup.DownloadAction.ChecksumAlgorithm = "md5"
		},
		`setup.download.checksum_value: "abc" is not 64 hex digits in lower case`: func(wire *models.DesiredLRP) {
			wire.Setup.DownloadAction.ChecksumValue = "abc"
		},
		`image_layers[0].media_type: is ZIP; a droplet is a TGZ archive`: func(wire *models.DesiredLRP) {
			wire.Setup = nil
			wire.ImageLayers = []*models.ImageLayer{{DestinationPath: "/home/vcap", MediaType: models.MediaTypeZip}}
		},
		`setup.download: is a droplet, which a docker image has no use for`: func(wire *models.DesiredLRP) {
			wire.RootFs = "docker:///library/nginx"
		},

		// The root file system.
		`root_fs: "cflinuxfs4" has no URL scheme`: func(wire *models.DesiredLRP) { wire.RootFs = "cflinuxfs4" },
		`root_fs: "preloaded:" names no stack`:    func(wire *models.DesiredLRP) { wire.RootFs = "preloaded:" },
		`root_fs: the scheme "oci" is neither that of preloaded:<stack> nor of docker://<image>`: func(wire *models.DesiredLRP) {
			wire.RootFs = "oci:///x"
		},
		`root_fs: is not the URL of a docker image, docker://[<registry>]/<repository>[#<tag>]`: func(wire *models.DesiredLRP) {
			wire.RootFs, wire.Setup = "docker://user:secret@registry/x", nil
		},
		`image_password: is missing, image_username is given`: func(wire *models.DesiredLRP) {
			wire.RootFs, wire.Setup, wire.ImageUsername = "docker:///library/nginx", nil, "u"
		},
		`image_username: is missing, image_password is given`: func(wire *models.DesiredLRP) {
			wire.RootFs, wire.Setup, wire.ImagePassword = "docker:///library/nginx", nil, "p"
		},

		// The rest.
		`privileged: privileged containers are not supported`: func(wire *models.DesiredLRP) { wire.Privileged = true },
		`sidecars: are not supported; sidecars are members of a codependent action`: func(wire *models.DesiredLRP) {
			wire.Sidecars = []*models.Sidecar{{}}
		},
		`monitor: is not supported without a check_definition`: func(wire *models.DesiredLRP) {
			wire.Monitor = models.WrapAction(launcherRun("HEALTH"))
		},
		`check_definition.checks[1]: has both tcp_check and http_check`: func(wire *models.DesiredLRP) {
			wire.CheckDefinition = &models.CheckDefinition{Checks: []*models.Check{{TcpCheck: &models.TCPCheck{Port: 1}}, {TcpCheck: &models.TCPCheck{}, HttpCheck: &models.HTTPCheck{}}}}
		},
		`check_definition.readiness_checks[0]: has neither tcp_check nor http_check`: func(wire *models.DesiredLRP) {
			wire.CheckDefinition = &models.CheckDefinition{ReadinessChecks: []*models.Check{{}}}
		},
		`start_timeout_ms: must not be negative, is -1`: func(wire *models.DesiredLRP) { wire.StartTimeoutMs = -1 },
		`routes.diego-ssh: is not a JSON object with a container_port`: func(wire *models.DesiredLRP) {
			wire.Routes = route("diego-ssh", `{"container_port":"x","private_key":"s3cr3t"}`)
		},
		`volume_mounts[0].driver: is missing`: func(wire *models.DesiredLRP) {
			wire.VolumeMounts = []*models.VolumeMount{{Mode: "rw", Shared: &models.SharedDevice{VolumeId: "claim"}}}
		},
		`volume_mounts[0].shared: is missing`: func(wire *models.DesiredLRP) {
			wire.VolumeMounts = []*models.VolumeMount{{Driver: "d", Mode: "rw"}}
		},
		`volume_mounts[0].shared.volume_id: is missing`: func(wire *models.DesiredLRP) {
			wire.VolumeMounts = []*models.VolumeMount{{Driver: "d", Mode: "rw", Shared: &models.SharedDevice{}}}
		},
		`volume_mounts[0].dedicated: is not supported`: func(wire *models.DesiredLRP) {
			wire.VolumeMounts = []*models.VolumeMount{{Driver: "d", Mode: "rw", Dedicated: &models.DedicatedDevice{}}}
		},
		`volume_mounts[0].mode: "w" is neither r nor rw`: func(wire *models.DesiredLRP) {
			wire.VolumeMounts = []*models.VolumeMount{{Driver: "d", Mode: "w", Shared: &models.SharedDevice{VolumeId: "v"}}}
		},
		`volume_mounts[0].shared.mount_config: is not a JSON object`: func(wire *models.DesiredLRP) {
			wire.VolumeMounts = []*models.VolumeMount{{Driver: "d", Mode: "r", Shared: &models.SharedDevice{VolumeId: "v", MountConfig: `"s3cr3t`}}}
		},
	} {
		t.Run(refusal, func(t *testing.T) {
			g := NewWithT(t)
			wire := bareLRP()
			change(wire)
			_, err := desiredLRP(wire)
			g.Expect(errorText(err)).To(Equal(refusal))
		})
	}
}

func TestCloudNativeBuildpacksAreRefused(t *testing.T) {
	g := NewWithT(t)
	const refusal = "lifecycle: Cloud Native Buildpacks (cnb) are not supported on this platform; push the app with the lifecycle buildpack or docker"
	_, err := desiredLRP(exampleLRP(t, "05"))
	g.Expect(errorText(err)).To(Equal(refusal))
}

// What is wrong in several parts is reported once for each.
func TestAllFaultsAreReported(t *testing.T) {
	g := NewWithT(t)
	wire := bareLRP()
	wire.Privileged, wire.RootFs, wire.StartTimeoutMs = true, "x", -1
	_, err := desiredLRP(wire)
	g.Expect(errorText(err)).To(Equal("privileged: privileged containers are not supported\n" +
		`root_fs: "x" has no URL scheme` + "\n" +
		"start_timeout_ms: must not be negative, is -1"))
}

// Forms that Cloud Controller does not send and that have one meaning.
func TestLRPsBeyondCloudController(t *testing.T) {
	for name, change := range map[string]func(*models.DesiredLRP, *opi.LRP){
		"a bare run": func(*models.DesiredLRP, *opi.LRP) {},
		"a serial action of a parallel one": func(wire *models.DesiredLRP, _ *opi.LRP) {
			wire.Action = serial(models.Parallel(launcherRun("APP")))
		},
		"one member in a serial action": func(wire *models.DesiredLRP, _ *opi.LRP) {
			wire.Action = codependent(models.Serial(launcherRun("APP")))
		},
		"an SSH daemon with flags of a later version": func(wire *models.DesiredLRP, _ *opi.LRP) {
			wire.Action = codependent(&models.RunAction{Path: sshdPath, Args: []string{"-allowedMACs=a", "-allowedThings=b"}}, launcherRun("APP"))
		},
		"the lifecycle in both forms": func(wire *models.DesiredLRP, _ *opi.LRP) {
			wire.ImageLayers = []*models.ImageLayer{{DestinationPath: "/tmp/lifecycle", Url: "u"}}
			wire.CachedDependencies = []*models.CachedDependency{{To: "/tmp/lifecycle/"}}
		},
		"a droplet with sha1 as a dependency": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			sha1 := dropletSHA256[:40]
			wire.Setup = nil
			wire.CachedDependencies = []*models.CachedDependency{{From: "https://cc.internal/d", To: "/home/vcap", ChecksumAlgorithm: "SHA1", ChecksumValue: sha1}}
			lrp.Droplet = &opi.Droplet{URL: "https://cc.internal/d", Checksum: opi.Checksum{Algorithm: "sha1", Value: sha1}}
		},
		"the command that staging found": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.Action.RunAction.Args = []string{"app", ""}
			lrp.Processes[0].Command = nil
		},
		"the last variable of a name counts": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.EnvironmentVariables = []*models.EnvironmentVariable{{Name: "A", Value: "base"}, {Name: "B", Value: "base"}}
			wire.Action.RunAction.Env = []*models.EnvironmentVariable{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}
			lrp.Environment = map[string]string{"A": "2", "B": "base"}
		},
		"another user": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.Action.RunAction.User = "root"
			lrp.Processes[0].User = "root"
		},
		"no log rate": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.LogRateLimit = &models.LogRateLimit{}
			lrp.Limits.LogBytesPerSecond = new(int64)
		},
		"no bound for the start": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.CheckDefinition = &models.CheckDefinition{Checks: []*models.Check{{TcpCheck: &models.TCPCheck{Port: 1}}, {HttpCheck: &models.HTTPCheck{Port: 70000}}}}
			lrp.Checks.StartTimeout = opi.MaxStartTimeout
			tcp := opi.Check{Kind: opi.CheckPort, Port: 1, Interval: 30e9, Timeout: 1e9}
			http := opi.Check{Kind: opi.CheckHTTP, Port: 70000, Path: "/", Interval: 30e9, Timeout: 1e9, Headers: checkHeaders()}
			lrp.Checks.Liveness, lrp.Checks.More.Liveness = tcp, []opi.Check{http}
			tcp.Interval, http.Interval = 2e9, 2e9
			lrp.Checks.Startup, lrp.Checks.More.Startup = tcp, []opi.Check{http}
		},
		"ports too large are left to the domain": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.Ports = []uint32{8080, 1 << 31}
			lrp.Ports = []int32{8080, 1<<31 - 1}
		},
		"an app on the port of the SSH daemon": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			raw := json.RawMessage(`{"container_port":2222}`)
			wire.Ports, wire.Routes = []uint32{2222, 2222}, &models.Routes{"diego-ssh": &raw}
			lrp.Ports, lrp.SSHRoute = []int32{2222}, raw
		},
		"a worker with a route": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			raw := json.RawMessage(`[{"hostname":"a.internal"}]`)
			wire.MetricTags = map[string]*models.MetricTagValue{"process_type": {Static: "worker"}}
			wire.Ports, wire.Routes = []uint32{8080}, &models.Routes{"internal-router": &raw}
			lrp.ProcessType, lrp.MetricTags = "worker", tags(map[string]string{"process_type": "worker"})
			lrp.Ports, lrp.Routes.Internal = []int32{8080}, []opi.InternalRoute{{Hostname: "a.internal"}}
		},
		"guids in the network's properties": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.Network = &models.Network{Properties: map[string]string{"app_id": "a", "space_id": "s", "org_id": "o"}}
			wire.CertificateProperties = &models.CertificateProperties{OrganizationalUnit: []string{"app:x"}}
			lrp.App.GUID, lrp.Space.GUID, lrp.Organization.GUID = "a", "s", "o"
			lrp.OrganizationalUnits = []string{"app:x"}
		},
		"guids in organizational units": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			units := []string{"organization:o", "space:s", "app:a"}
			wire.CertificateProperties = &models.CertificateProperties{OrganizationalUnit: units}
			lrp.App.GUID, lrp.Space.GUID, lrp.Organization.GUID = "a", "s", "o"
			lrp.OrganizationalUnits = units
		},
		"a process type with a slash": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.MetricTags = map[string]*models.MetricTagValue{"process_type": {Static: "a/sidecar/b"}}
			wire.Action = codependent(launcherRun("APP/PROC/A/SIDECAR/B"), launcherRun("APP/REV/3/PROC/A/SIDECAR/B/SIDECAR/PROXY/X"))
			lrp.ProcessType, lrp.MetricTags = "a/sidecar/b", tags(map[string]string{"process_type": "a/sidecar/b"})
			lrp.Processes = append(lrp.Processes, opi.Process{Name: "proxy/x", Command: []string{"run"}})
		},
		"a volume to read with numbers in its configuration": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.VolumeMounts = []*models.VolumeMount{{Driver: "d", ContainerDir: "/data", Mode: "r", Shared: &models.SharedDevice{VolumeId: "v", MountConfig: `{"uid":1000,"deep":{"a":[1]}}`}}}
			lrp.Volumes = []opi.Volume{{Driver: "d", ID: "v", Directory: "/data", ReadOnly: true, Config: map[string]json.RawMessage{"uid": []byte("1000"), "deep": []byte(`{"a":[1]}`)}}}
		},
		"ICMPv6 and a list of destinations": func(wire *models.DesiredLRP, lrp *opi.LRP) {
			wire.EgressRules = []*models.SecurityGroupRule{{Protocol: "ICMPv6", Destinations: []string{"::/0"}}, {Protocol: "all", Destinations: []string{"10.0.0.1,10.0.1.0/24"}}}
			lrp.EgressRules = []opi.EgressRule{{Protocol: "icmpv6", Destinations: []string{"::/0"}}, {Protocol: "all", Destinations: []string{"10.0.0.1,10.0.1.0/24"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			wire := bareLRP()
			wanted := opi.LRP{
				LRPIdentifier: opi.LRPIdentifier{GUID: "some-process"}, Door: opi.DoorBBS, Domain: "some-domain",
				RootFS:    opi.RootFS{Stack: "cflinuxfs4"},
				Droplet:   &opi.Droplet{URL: "https://cc.internal/droplet", Checksum: opi.Checksum{Algorithm: "sha256", Value: dropletSHA256}},
				Processes: []opi.Process{{Command: []string{"run"}}}, Limits: opi.Limits{MemoryMiB: 128},
			}
			change(wire, &wanted)
			got, err := desiredLRP(wire)
			g.Expect(err).NotTo(HaveOccurred())
			got.OriginalRequest = ""
			expectEqual(t, got, wanted)
		})
	}
}

// Destinations in one text are split when the LRP is normalized, as Diego does.
func TestListsOfDestinations(t *testing.T) {
	g := NewWithT(t)
	wire := bareLRP()
	wire.EgressRules = []*models.SecurityGroupRule{{Protocol: "all", Destinations: []string{"10.0.0.1,10.0.1.0/24,10.0.2.1-10.0.2.9"}}}
	lrp, err := desiredLRP(wire)
	g.Expect(err).NotTo(HaveOccurred())
	lrp, err = lrp.Normalize()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lrp.EgressRules).To(Equal([]opi.EgressRule{{Protocol: "all", Destinations: []string{"10.0.0.1", "10.0.1.0/24", "10.0.2.1-10.0.2.9"}}}))
}

func TestImages(t *testing.T) {
	for url, reference := range map[string]string{
		"docker:///library/nginx":                                    "docker.io/library/nginx",
		"docker:///library/nginx#1.27":                               "docker.io/library/nginx:1.27",
		"docker:///org/app#tag":                                      "docker.io/org/app:tag",
		"docker://docker.io/library/nginx":                           "docker.io/library/nginx",
		"docker://registry.example.com:5000/team/web#1.2":            "registry.example.com:5000/team/web:1.2",
		"docker:///library/web@sha256#" + dropletSHA256:              "docker.io/library/web@sha256:" + dropletSHA256,
		"docker://registry.internal/web#1.2@sha256:" + dropletSHA256: "registry.internal/web:1.2@sha256:" + dropletSHA256,
	} {
		t.Run(url, func(t *testing.T) {
			g := NewWithT(t)
			got, err := rootFS(&models.DesiredLRP{RootFs: url})
			g.Expect(err).NotTo(HaveOccurred())
			expectEqual(t, got, opi.RootFS{Image: &opi.Image{Reference: reference}})
			g.Expect(got.Image.Validate()).To(Succeed())
		})
	}
}

// The user of a docker image is left to the image if staging found it there.
func TestUsersOfImages(t *testing.T) {
	for name, example := range map[string]struct{ user, metadata, wanted string }{
		"the image's":                {"nginx", `{"cmd":["nginx"],"user":"nginx"}`, ""},
		"the app's":                  {"app", `{"cmd":["nginx"],"user":"nginx"}`, "app"},
		"root by default":            {"root", `{"cmd":["nginx"]}`, ""},
		"root instead of another":    {"root", `{"cmd":["nginx"],"user":"nginx"}`, "root"},
		"a task's":                   {"nginx", `{}`, "nginx"},
		"metadata that is no object": {"root", `[1]`, "root"},
		"a user that is no text":     {"root", `{"user":7}`, "root"},
		"no metadata":                {"root", ``, "root"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			process, err := run{"action.run", &models.RunAction{Args: []string{"app", "x", example.metadata}, User: example.user}}.process(true)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(process).To(Equal(opi.Process{User: example.wanted, Command: []string{"/bin/sh", "-c", "x"}}))
		})
	}
}

func TestDeepTrees(t *testing.T) {
	g := NewWithT(t)
	wire := bareLRP()
	for range 100 {
		wire.Action = serial(wire.Action.GetValue().(models.ActionInterface))
		wire.Setup = serial(wire.Setup.GetValue().(models.ActionInterface))
	}
	_, err := desiredLRP(wire)
	g.Expect(errorText(err)).To(MatchRegexp(`(?s)^setup\S+: is nested more than 16 deep\naction\S+: is nested more than 16 deep$`))
}
