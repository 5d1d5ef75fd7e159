package builds

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps"
)

// Names of files of the steps.
const (
	fetchFile, pushFile, buildFile        = "fetch.json", "push.json", "build.json"
	environmentFile, registryPasswordFile = "environment.json", "registry-password"
)

var update = flag.Bool("update", false, "write golden files anew")

func testSettings() Settings {
	return Settings{
		Namespace: "cf-apps", PullSecret: "registry",
		Steps: stager.Settings{
			Registry:       steps.RegistryConfig{Address: "registry.irene.svc:5000", Prefix: "cloudfoundry"},
			DefaultDiskMiB: stager.DefaultDiskMiB, ParallelDownloads: stager.DefaultParallelDownloads,
		},
		Limits: job.Limits{
			Deadline: DefaultDeadline, SchedulingPatience: job.DefaultSchedulingPatience, PullPatience: job.DefaultPullPatience, LostNodeGrace: time.Minute,
		},
		DockerPatience:  DefaultDockerPatience,
		CPURequestMilli: DefaultCPURequestMilli,
		Placement:       render.PlacementSettings{NodeLabel: "segment", SharedUnlabelled: true},
	}
}

const testGUID = "a0b1c2d3-0000-4000-8000-000000000001"

func testBuild() opi.Build {
	return opi.Build{
		GUID: testGUID, App: opi.Owner{GUID: "app-guid", Name: "the app"}, Space: opi.Owner{GUID: "space-guid", Name: "dev"},
		Organization: opi.Owner{GUID: "org-guid", Name: "Org & Co"},
		Environment:  map[string]string{"SECRET": "env-hunter2", "VCAP_APPLICATION": `{"a":1}`, "CF_INSTANCE_IP": "forged", "A": "$(B)"},
		Limits:       opi.Limits{MemoryMiB: 1024, DiskMiB: 2048, CPUWeight: 50}, CompletionCallback: "https://user:callback-hunter2@cc:9023/done",
		Source: &opi.Source{
			AppBitsURL: "https://blobs/app?sig=app-hunter2", DropletUploadURL: "https://uploader/v1/droplet/x?cc-droplet-upload-uri=https://cc/y",
			CacheDownloadURL: "https://blobs/cache?sig=cache-hunter2", CacheUploadURL: "https://uploader/v1/build_artifacts/x",
			Buildpacks: []opi.Buildpack{
				{Name: "ruby", Key: "ruby-key", URL: "https://blobs/ruby?sig=bp-hunter2", Checksum: opi.Checksum{Algorithm: "sha256", Value: strings.Repeat("ab", 32)}},
				{Name: "custom", Key: "https://u:git-hunter2@git.example/x?t=git-hunter2#main", URL: "https://u:git-hunter2@git.example/x?t=git-hunter2#main", SkipDetect: true},
			},
		},
	}
}

func testImages() stager.PodImages {
	return stager.PodImages{Stack: "cflinuxfs4", Build: "127.0.0.1:32123/cloudfoundry/builds/cflinuxfs4:0123456789ab", Tool: "127.0.0.1:32123/cloudfoundry/stage:ba9876543210"}
}

func testCredentials() stager.Credentials {
	return stager.Credentials{
		Certificate: []byte("certificate"), Key: []byte("key-hunter2"), Authorities: []byte("authorities"),
		RegistryUsername: []byte("irene"), RegistryPassword: []byte("registry-hunter2"),
	}
}

// golden compares with a file that people can read.
func golden(t *testing.T, name string, objects Objects) {
	t.Helper()
	g := NewWithT(t)
	text := jobtest.YAML(t, objects.Objects)
	path := filepath.Join("testdata", name+".yaml")
	if *update {
		g.Expect(os.WriteFile(path, []byte(text), 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text).To(Equal(string(want)), "go test ./k8s/builds -update writes it anew")
}

func TestRenderedBuild(t *testing.T) {
	g := NewWithT(t)
	objects, err := testSettings().Render(testBuild(), testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "buildpack", objects)
	again, err := testSettings().Render(testBuild(), testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(objects))
}

// The part of a URL that is not shown is part of the buildpack's identity.
func TestBuildpacksThatDifferInSecretsAreTwo(t *testing.T) {
	g := NewWithT(t)
	build := testBuild()
	build.Source.Buildpacks = nil
	for _, name := range []string{"a", "b", "a"} {
		url := "http://host/dl/archive.zip?path=" + name + ".zip"
		build.Source.Buildpacks = append(build.Source.Buildpacks, opi.Buildpack{Name: "custom", Key: url, URL: url, SkipDetect: true})
	}
	objects, err := testSettings().Render(build, testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	fetch, err := steps.ParseConfig[steps.FetchConfig](objects.Secrets[0].Data[fetchFile])
	g.Expect(err).NotTo(HaveOccurred())
	const one, two = "http://host/dl/archive.zip", "http://host/dl/archive.zip;2"
	g.Expect(fetch.Buildpacks).To(HaveExactElements(
		And(HaveField("Key", one), HaveField("URL", "http://host/dl/archive.zip?path=a.zip")),
		And(HaveField("Key", two), HaveField("URL", "http://host/dl/archive.zip?path=b.zip")),
	))
	run, err := steps.ParseConfig[steps.BuildConfig](objects.Secrets[1].Data[buildFile])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(run.Buildpacks).To(HaveExactElements(
		steps.BuildBuildpack{Name: "custom", Key: one, SkipDetect: true, FreshCache: true},
		steps.BuildBuildpack{Name: "custom", Key: two, SkipDetect: true, FreshCache: true},
		steps.BuildBuildpack{Name: "custom", Key: one, SkipDetect: true, FreshCache: true},
	))
	g.Expect(string(objects.Secrets[1].Data[buildFile])).NotTo(ContainSubstring("path="))
}

// What there is an image of is mounted and not fetched; the rest is.
func TestRenderedBuildWithImageVolumes(t *testing.T) {
	g := NewWithT(t)
	build, images := testBuild(), testImages()
	same := build.Source.Buildpacks[0]
	same.Key, same.Name = "another-key", "another"
	build.Source.Buildpacks = append(build.Source.Buildpacks, same, same)
	images.Buildpacks = map[string]string{same.Checksum.Value: "127.0.0.1:32123/cloudfoundry/buildpacks@sha256:" + strings.Repeat("cd", 32)}
	objects, err := testSettings().Render(build, images, testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "mounted", objects)
	g.Expect(objects.Mounted).To(Equal([]string{"ruby", "another"}))
	g.Expect(objects.Fetched).To(Equal([]string{"custom"}))
	fetch, err := steps.ParseConfig[steps.FetchConfig]([]byte(filesOf(objects, steps.FetchStep)[fetchFile]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fetch.Buildpacks).To(HaveExactElements(HaveField("Name", "custom")))

	// A replica that has not found the image leaves another's Job what it mounts.
	other, err := testSettings().Render(build, testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	for key, content := range other.Secrets[0].Data {
		if mine, both := objects.Secrets[0].Data[key]; both {
			g.Expect(mine).To(Equal(content), key)
		}
	}
	g.Expect(other.Fetched).To(Equal([]string{"ruby", "custom", "another"}))
}

func TestRenderedBuildWithoutCredentials(t *testing.T) {
	g := NewWithT(t)
	settings := testSettings()
	settings.PullSecret, settings.Placement = "", render.PlacementSettings{}
	build := testBuild()
	build.Source.CacheDownloadURL, build.Source.CacheUploadURL, build.Limits.DiskMiB, build.Limits.MemoryMiB = "", "", 0, 64
	objects, err := settings.Render(build, testImages(), stager.Credentials{})
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "bare", objects)
}

func TestNameResolutionOfBuilds(t *testing.T) {
	g := NewWithT(t)
	settings := testSettings()
	settings.Names = render.NameResolution{HostAliases: []corev1.HostAlias{{IP: "192.0.2.10", Hostnames: []string{"cc-uploader.service.cf.internal"}}}}
	objects, err := settings.Render(testBuild(), testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(objects.Job.Spec.Template.Spec.HostAliases).To(Equal(settings.Names.HostAliases))
}

func TestRenderedImage(t *testing.T) {
	g := NewWithT(t)
	build := testBuild()
	build.Source = nil
	build.Image = &opi.Image{Reference: "docker.io/some/image", Credentials: &opi.RegistryCredentials{Username: "u", Password: "image-hunter2"}}
	objects, err := testSettings().Render(build, stager.PodImages{}, stager.Credentials{})
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "docker", objects)
	var record imageRecord
	g.Expect(json.Unmarshal(objects.Secrets[0].Data[imageFile], &record)).To(Succeed())
	g.Expect(record.image()).To(Equal(*build.Image))
}

// No secret stands where more than its own container may read it.
func TestSecretsStayApart(t *testing.T) {
	g := NewWithT(t)
	objects, err := testSettings().Render(testBuild(), testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	job, err := json.Marshal(objects.Job)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(job)).NotTo(ContainSubstring("hunter2"))

	seen := filesOf(objects, steps.BuildStep)
	g.Expect(seen).To(HaveLen(2))
	for name, content := range seen {
		g.Expect(strings.ReplaceAll(content, "env-hunter2", "")).NotTo(ContainSubstring("hunter2"), "%s in the build container", name)
	}
	g.Expect(filesOf(objects, steps.FetchStep)).To(And(HaveLen(4), Not(HaveKey(registryPasswordFile))))
	push := filesOf(objects, steps.PushStep)
	g.Expect(push).To(And(HaveLen(6), HaveKeyWithValue(registryPasswordFile, "registry-hunter2")))
	for _, name := range []string{"callback", fetchFile} {
		g.Expect(push).NotTo(HaveKey(name))
	}
}

// filesOf is everything that a container finds in Secrets.
func filesOf(objects Objects, container string) map[string]string {
	data := map[string]map[string][]byte{}
	for _, secret := range objects.Secrets {
		data[secret.Name] = secret.Data
	}
	volumes := map[string]*corev1.SecretVolumeSource{}
	pod := objects.Job.Spec.Template.Spec
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = volume.Secret
	}
	files := map[string]string{}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		for _, mount := range c.VolumeMounts {
			if source := volumes[mount.Name]; c.Name == container && source != nil {
				for _, item := range source.Items {
					files[item.Path] = string(data[source.SecretName][item.Key])
				}
			}
		}
	}
	return files
}

// The steps take what they are given.
func TestStepsReadTheirConfigurations(t *testing.T) {
	g := NewWithT(t)
	objects, err := testSettings().Render(testBuild(), testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())

	fetch, err := steps.ParseConfig[steps.FetchConfig]([]byte(filesOf(objects, steps.FetchStep)[fetchFile]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fetch.Buildpacks[1].URL).To(ContainSubstring("git-hunter2"), "fetch needs it")
	g.Expect(fetch.Buildpacks[1].Key).To(Equal("https://git.example/x#main"))
	g.Expect(fetch.TLS).To(Equal(steps.TLSFiles{Certificate: "/etc/irene-stage/client.crt", Key: "/etc/irene-stage/client.key", Authorities: []string{"/etc/irene-stage/authorities.pem"}}))
	build, err := steps.ParseConfig[steps.BuildConfig]([]byte(filesOf(objects, steps.BuildStep)[buildFile]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(build.Buildpacks[1]).To(Equal(steps.BuildBuildpack{Name: "custom", Key: "https://git.example/x#main", SkipDetect: true, FreshCache: true}))
	g.Expect(build.MemoryMiB).To(Equal(int64(1024)))
	push, err := steps.ParseConfig[steps.PushConfig]([]byte(filesOf(objects, steps.PushStep)[pushFile]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(push.Registry.PasswordFile).To(Equal("/etc/irene-stage/registry-password"))

	var environment map[string]string
	g.Expect(json.Unmarshal([]byte(filesOf(objects, steps.BuildStep)[environmentFile]), &environment)).To(Succeed())
	g.Expect(environment).To(Equal(map[string]string{"SECRET": "env-hunter2", "VCAP_APPLICATION": `{"a":1}`, "A": "$(B)"}), "what Irene knows better is left out")
}

func TestRenderRefusals(t *testing.T) {
	for want, change := range map[string]func(*opi.Build){
		"source.buildpacks[0].checksum.value: is not a digest of that algorithm in hex": func(b *opi.Build) { b.Source.Buildpacks[0].Checksum.Value = "abc" },
		"environment: names and values have": func(b *opi.Build) {
			// As JSON it has six bytes for each.
			b.Environment["BIG"] = strings.Repeat("\x01", 200_000)
		},
		"source: addresses of buildpacks, app package, droplet and cache have": func(b *opi.Build) {
			b.Source.AppBitsURL += strings.Repeat("x", corev1.MaxSecretSize)
		},
	} {
		t.Run(want, func(t *testing.T) {
			g := NewWithT(t)
			build := testBuild()
			change(&build)
			_, err := testSettings().Render(build, testImages(), testCredentials())
			g.Expect(err).To(MatchError(ContainSubstring(want)))
			g.Expect(opi.FieldErrors(err)).To(HaveLen(1))
		})
	}
}

func TestBuildpacksOfOneKeyAreFetchedOnce(t *testing.T) {
	g := NewWithT(t)
	build := testBuild()
	build.Source.Buildpacks = append(build.Source.Buildpacks, build.Source.Buildpacks[0])
	objects, err := testSettings().Render(build, testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	fetch, err := steps.ParseConfig[steps.FetchConfig]([]byte(filesOf(objects, steps.FetchStep)[fetchFile]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fetch.Buildpacks).To(HaveLen(2))
	run, err := steps.ParseConfig[steps.BuildConfig]([]byte(filesOf(objects, steps.BuildStep)[buildFile]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(run.Buildpacks).To(HaveLen(3))
}

func TestNames(t *testing.T) {
	g := NewWithT(t)
	g.Expect(job.Name(namePrefix, testGUID)).To(Equal("stage-" + testGUID))
	for _, guid := range []string{"some_staging_guid", "UPPER", "a.b", strings.Repeat("a", 63)} {
		g.Expect(job.Name(namePrefix, guid)).To(MatchRegexp(`^stage-[0-9a-f]{40}$`))
	}
	g.Expect(job.Name(namePrefix, "A")).NotTo(Equal(job.Name(namePrefix, "a")))
}

// What Irene does not act on is kept where people and later releases find it.
func TestWhatIsKeptOfABuild(t *testing.T) {
	image := testBuild()
	image.Source, image.Image = nil, &opi.Image{Reference: "docker.io/some/image"}
	for name, build := range map[string]opi.Build{"buildpack": testBuild(), "docker": image} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			plain, err := testSettings().Render(build, testImages(), testCredentials())
			g.Expect(err).NotTo(HaveOccurred())
			build.MetricTags = map[string]opi.MetricTag{"app_name": {Text: "the app"}}
			build.EgressRules = []opi.EgressRule{{Protocol: "tcp", Destinations: []string{"1.2.3.4"}, Ports: []int32{80}}}
			build.OrganizationalUnits = []string{"app:app-guid"}
			build.Limits.PIDs, build.Limits.LogBytesPerSecond = 1024, new(int64(-1))
			kept, err := testSettings().Render(build, testImages(), testCredentials())
			g.Expect(err).NotTo(HaveOccurred())

			const tags = `{"app_name":"the app"}`
			annotations, podAnnotations := kept.Job.Annotations, kept.Job.Spec.Template.Annotations
			g.Expect(annotations).To(HaveKeyWithValue(keys.MetricTags, tags))
			g.Expect(podAnnotations).To(HaveKeyWithValue(keys.MetricTags, tags))
			g.Expect(podAnnotations).NotTo(HaveKey(keys.WorkRecord))
			g.Expect(annotations[keys.WorkRecord]).To(MatchJSON(`{"version":1,"limits":{"pids":1024,"logBytesPerSecond":-1},"egressRules":[{"protocol":"tcp","destinations":["1.2.3.4"],"ports":[80]}],"organizationalUnits":["app:app-guid"]}`))
			delete(annotations, keys.MetricTags)
			delete(annotations, keys.WorkRecord)
			delete(podAnnotations, keys.MetricTags)
			g.Expect(kept).To(Equal(plain), "all else is as it was")

			for i := range 3000 {
				build.EgressRules = append(build.EgressRules, opi.EgressRule{Protocol: "all", Destinations: []string{fmt.Sprintf("10.0.%d.%d", i/256, i%256)}})
			}
			kept, err = testSettings().Render(build, testImages(), testCredentials())
			g.Expect(err).NotTo(HaveOccurred())
			record, err := render.DecodeWorkRecord(kept.Job.Annotations, kept.Secrets[0].Data)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(record).To(Equal(render.BuildRecord(build)))
		})
	}
}

func TestOnlyOtherDoorsAreNoted(t *testing.T) {
	g := NewWithT(t)
	for _, kind := range []string{"buildpack", "docker"} {
		build := testBuild()
		if kind == "docker" {
			build.Source, build.Image = nil, &opi.Image{Reference: "org/image"}
		}
		render := func() *batchv1.Job {
			objects, err := testSettings().Render(build, testImages(), testCredentials())
			g.Expect(err).NotTo(HaveOccurred())
			return objects.Job
		}
		plain := render()
		g.Expect(plain.Annotations).NotTo(HaveKey("irene.cloudfoundry.org/door"), kind)
		build.Door = "other"
		noted := render()
		g.Expect(noted.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/door", "other"), kind)
		delete(noted.Annotations, "irene.cloudfoundry.org/door")
		g.Expect(noted).To(Equal(plain), kind)
	}
}

func TestABuildBoundsItselfMoreTightly(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		wanted  time.Duration
	}{
		"none":    {0, DefaultDeadline},
		"tighter": {5 * time.Minute, 5 * time.Minute},
		"looser":  {time.Hour, DefaultDeadline},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			build := testBuild()
			build.Timeout, build.Request = c.timeout, "request"
			objects, err := testSettings().Render(build, testImages(), testCredentials())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(objects.Job.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/request", "request"))
			g.Expect(objects.Job.Spec.Template.Spec.ActiveDeadlineSeconds).To(HaveValue(Equal(int64(c.wanted / time.Second))))
			g.Expect(objects.Job.Spec.ActiveDeadlineSeconds).To(HaveValue(Equal(int64((c.wanted + job.DefaultSchedulingPatience) / time.Second))))
			g.Expect(testSettings().interruption(job.End{Cause: job.DeadlinePassed}, objects.Job).Message).To(ContainSubstring(job.InWords(c.wanted)))
		})
	}
}

func TestABuildRunsInItsIsolationSegment(t *testing.T) {
	g := NewWithT(t)
	build := testBuild()
	build.PlacementTags = []string{"segment-one"}
	objects, err := testSettings().Render(build, testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(objects.Job.Spec.Template.Spec.Affinity).To(Equal(testSettings().Placement.Affinity([]string{"segment-one"})))
}

// The buildpacks find what the app's instances do; the other steps don't need it.
func TestFilesAndAuthoritiesOfABuild(t *testing.T) {
	g := NewWithT(t)
	settings, build := testSettings(), testBuild()
	settings.TrustedCertificates = "authorities"
	build.Files = []opi.File{{Path: "db/password", Content: []byte("file-hunter2")}}
	build.TrustedCertificatesPath = "/etc/cf-system-certificates"
	objects, err := settings.Render(build, testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(objects.Secrets).To(HaveLen(3))
	files := objects.Secrets[2]
	g.Expect(files.Name).To(Equal(objects.Job.Name + "-files"))
	g.Expect(files.Data).To(Equal(map[string][]byte{"file.0": []byte("file-hunter2")}))

	spec := objects.Job.Spec.Template.Spec
	g.Expect(spec.Volumes).To(ContainElements(
		HaveField("VolumeSource.Secret.SecretName", files.Name),
		HaveField("VolumeSource.ConfigMap.Name", "authorities"),
	))
	paths := func(container corev1.Container) (paths []string) {
		for _, mount := range container.VolumeMounts {
			paths = append(paths, mount.MountPath)
		}
		return paths
	}
	fetch, run := spec.InitContainers[0], spec.InitContainers[1]
	g.Expect(paths(run)).To(ContainElements("/etc/cf-service-bindings", "/etc/cf-system-certificates"))
	g.Expect(run.Env).To(ContainElement(corev1.EnvVar{Name: "CF_SYSTEM_CERT_PATH", Value: "/etc/cf-system-certificates"}))
	g.Expect(paths(fetch)).NotTo(ContainElement("/etc/cf-service-bindings"))
	g.Expect(paths(spec.Containers[0])).NotTo(ContainElement("/etc/cf-service-bindings"))

	build.Files[0].Content = make([]byte, corev1.MaxSecretSize+1)
	_, err = settings.Render(build, testImages(), testCredentials())
	g.Expect(err).To(MatchError(ContainSubstring("files: their contents have")))
}

// What the builder's flag allows is in the configuration of fetch alone.
func TestServersWithAnyCertificate(t *testing.T) {
	g := NewWithT(t)
	build := testBuild()
	build.Source.SkipCertVerify = true
	objects, err := testSettings().Render(build, testImages(), testCredentials())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(objects.Secrets[0].Data[fetchFile])).To(ContainSubstring(`"skipCertVerify":true`))
	g.Expect(string(objects.Secrets[0].Data[pushFile])).NotTo(ContainSubstring("skipCertVerify"))
}
