package bbs

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

const (
	sshRouteText = `{"container_port":2222,"private_key":"-----BEGIN RSA PRIVATE KEY-----\n(example: 2048 bit RSA in PEM, about 1.7 kB)\n-----END RSA PRIVATE KEY-----\n",` +
		`"host_fingerprint":"98:d8:16:60:bc:c6:5d:fe:53:3c:e2:0f:39:c1:eb:ba:25:ae:0c:be","host_256_fingerprint":"CfNY64OCzlWhDI7aLbTG7ZiGhZCw4oauie31vs/erVw="}`
	ccDroplets = "https://cloud-controller-ng.service.cf.internal:9023/internal/v4/droplets/"
)

func TestLRPsOfCloudController(t *testing.T) {
	web := opi.LRP{
		LRPIdentifier: opi.LRPIdentifier{GUID: doraGUID, Version: version},
		Door:          opi.DoorBBS, Domain: "cf-apps", ProcessType: "web",
		App: doraApp, Space: devSpace, Organization: acmeOrg,
		RootFS:    opi.RootFS{Stack: "cflinuxfs4"},
		Droplet:   &opi.Droplet{Checksum: opi.Checksum{Algorithm: "sha256", Value: dropletSHA256}, URL: ccDroplets + doraGUID + "/" + dropletSHA256 + "/download"},
		Processes: []opi.Process{{Command: []string{"bundle exec rackup config.ru -p $PORT"}}},
		Instances: 3, Limits: opi.Limits{MemoryMiB: 1024, DiskMiB: 1024, CPUWeight: 12, FileDescriptors: 16384, PIDs: 1024, LogBytesPerSecond: &unlimited},
		Ports:                   []int32{8080},
		MetricTags:              processTags(doraGUID, "web", map[string]string{"team": "orders"}),
		OrganizationalUnits:     doraUnits,
		TrustedCertificatesPath: systemCerts,
		Annotation:              "1796000000.123456",
	}
	portCheck := func(interval time.Duration) opi.Check {
		return opi.Check{Kind: opi.CheckPort, Port: 8080, Interval: interval, Timeout: time.Second}
	}
	httpCheck := func(path string, interval, timeout time.Duration) opi.Check {
		return opi.Check{Kind: opi.CheckHTTP, Port: 8080, Path: path, Interval: interval, Timeout: timeout,
			Headers: map[string]string{"User-Agent": "diego-healthcheck", "X-Forwarded-Proto": "https"}}
	}
	webEnvironment := func(application string, more map[string]string) map[string]string {
		all := map[string]string{
			"LANG": "en_US.UTF-8", "PORT": "8080", "VCAP_APP_PORT": "8080", "VCAP_APP_HOST": "0.0.0.0",
			"RUNNING_GROUP_VAR": "from-operator", "VCAP_APPLICATION": application, "MEMORY_LIMIT": "1024m",
		}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	for number, change := range map[string]func(*opi.LRP){
		"01": func(lrp *opi.LRP) { // all features
			uris := []string{"dora.example.com", "dora.example.com/v2"}
			lrp.Environment = withVariables(webEnvironment(processApplication(896, doraGUID, "web", uris...), map[string]string{
				"MEMORY_LIMIT": "896m", "VCAP_SERVICES": servicesText, "DATABASE_URL": databaseURL,
			}))
			lrp.Processes = append(lrp.Processes,
				opi.Process{Name: "envoy", Command: []string{"./envoy --config x.yaml"}, MemoryMiB: 128, Environment: map[string]string{
					"MEMORY_LIMIT": "128m", "VCAP_APPLICATION": processApplication(128, doraGUID, "web", uris...),
				}},
				opi.Process{Name: "agent", Command: []string{"agent"}, Environment: map[string]string{
					"MEMORY_LIMIT": "1024m", "VCAP_APPLICATION": processApplication(1024, doraGUID, "web", uris...),
				}})
			lrp.Ports = []int32{8080, 8081, 8082}
			lrp.Checks = opi.Checks{
				StartTimeout: 90 * time.Second,
				Startup:      httpCheck("/health", 2*time.Second, 2*time.Second),
				Liveness:     httpCheck("/health", 15*time.Second, 2*time.Second),
				Readiness:    httpCheck("/ready", 20*time.Second, 3*time.Second),
			}
			lrp.Routes = opi.Routes{
				HTTP: []opi.HTTPRoute{
					{Hostname: "dora.example.com", Port: 8080, IsolationSegment: "segment-one"},
					{Hostname: "dora.example.com/v2", Port: 8081, IsolationSegment: "segment-one", Protocol: "http2", RouteServiceURL: "https://rs.example.com/x",
						Options: map[string]json.RawMessage{"loadbalancing": []byte(`"least-connection"`)}},
				},
				TCP:      []opi.TCPRoute{{RouterGroupGUID: "9f4e0000-0000-4000-8000-000000000014", ExternalPort: 61001, Port: 8082}},
				Internal: []opi.InternalRoute{{Hostname: "dora.apps.internal"}},
			}
			lrp.SSHRoute = json.RawMessage(sshRouteText)
			lrp.Volumes = []opi.Volume{nfsVolume}
			lrp.EgressRules = runningRules()
			lrp.PlacementTags = []string{"segment-one"}
		},
		"02": func(lrp *opi.LRP) { // the droplet is downloaded by the setup
			lrp.Instances = 1
			lrp.MetricTags = processTags(doraGUID, "web", nil)
			lrp.Environment = webEnvironment(processApplication(1024, doraGUID, "web", "dora.example.com"), map[string]string{"VCAP_SERVICES": "{}"})
			lrp.Checks = opi.Checks{StartTimeout: time.Minute, Startup: portCheck(2 * time.Second), Liveness: portCheck(30 * time.Second)}
			lrp.Routes.HTTP = []opi.HTTPRoute{{Hostname: "dora.example.com", Port: 8080}}
		},
		"03": func(lrp *opi.LRP) { // a worker, to which nothing connects
			lrp.GUID, lrp.ProcessType, lrp.Instances, lrp.Ports = workerGUID, "worker", 1, nil
			lrp.Droplet.URL = ccDroplets + workerGUID + "/" + dropletSHA256 + "/download"
			lrp.Processes = []opi.Process{{Command: []string{"bundle exec sidekiq"}}}
			lrp.MetricTags = processTags(workerGUID, "worker", nil)
			lrp.Environment = webEnvironment(processApplication(1024, workerGUID, "worker"), map[string]string{"VCAP_SERVICES": "{}"})
			lrp.Checks = opi.Checks{StartTimeout: time.Minute}
			lrp.Limits.LogBytesPerSecond = new(int64(16384))
		},
		"04": func(lrp *opi.LRP) { // a private docker image with its own command and user
			lrp.RootFS = opi.RootFS{Image: &opi.Image{
				Reference: "registry.example.com:5000/team/web:1.2", Credentials: &opi.RegistryCredentials{Username: "robot", Password: "pa$$word"},
			}}
			lrp.Droplet, lrp.Processes = nil, []opi.Process{{}}
			lrp.Environment = withVariables(map[string]string{
				"PORT": "8080", "RUNNING_GROUP_VAR": "from-operator", "MEMORY_LIMIT": "1024m", "VCAP_SERVICES": "{}",
				"VCAP_APPLICATION": processApplication(1024, doraGUID, "web", "web.example.com"),
			})
			lrp.Checks = opi.Checks{StartTimeout: 90 * time.Second, Startup: portCheck(2 * time.Second), Liveness: portCheck(15 * time.Second)}
			lrp.Routes.HTTP = []opi.HTTPRoute{{Hostname: "web.example.com", Port: 8080}}
			lrp.SSHRoute = json.RawMessage(sshRouteText)
		},
		"06": func(lrp *opi.LRP) { // service bindings in one file
			lrp.Environment = withVariables(webEnvironment(processApplication(1024, doraGUID, "web"), map[string]string{
				"VCAP_SERVICES_FILE_PATH": "/etc/cf-service-bindings/vcap_services", "DATABASE_URL": databaseURL,
			}))
			lrp.Checks = opi.Checks{StartTimeout: 90 * time.Second, Startup: portCheck(2 * time.Second), Liveness: portCheck(15 * time.Second)}
			lrp.Volumes = []opi.Volume{nfsVolume}
			lrp.Files = []opi.File{{Path: "vcap_services", Content: []byte(servicesText)}}
		},
		"07": func(lrp *opi.LRP) { // service bindings in many files
			lrp.Environment = withVariables(webEnvironment(processApplication(1024, doraGUID, "web"), map[string]string{
				"SERVICE_BINDING_ROOT": "/etc/cf-service-bindings", "DATABASE_URL": databaseURL,
			}))
			lrp.Checks = opi.Checks{StartTimeout: 90 * time.Second, Startup: portCheck(2 * time.Second), Liveness: portCheck(15 * time.Second)}
			lrp.Volumes = []opi.Volume{nfsVolume}
			for _, file := range [][2]string{
				{"files/label", "nfs"}, {"files/plan", "Existing"}, {"files/name", "files"}, {"files/tags", `["nfs"]`},
				{"files/instance_guid", "c1000000-0000-4000-8000-000000000008"}, {"files/instance_name", "files"},
				{"files/binding_guid", "b1000000-0000-4000-8000-000000000007"},
				{"files/volume_mounts", `[{"container_dir":"/var/vcap/data/shared","mode":"rw","device_type":"shared"}]`},
				{"files/type", "nfs"}, {"files/provider", "nfs"},
				{"orders/uri", databaseURL}, {"orders/label", "user-provided"}, {"orders/name", "orders"},
				{"orders/instance_guid", "c2000000-0000-4000-8000-000000000010"}, {"orders/instance_name", "orders-db"},
				{"orders/binding_guid", "b2000000-0000-4000-8000-000000000009"}, {"orders/binding_name", "orders"},
				{"orders/type", "user-provided"}, {"orders/provider", "user-provided"},
			} {
				lrp.Files = append(lrp.Files, opi.File{Path: file[0], Content: []byte(file[1])})
			}
		},
	} {
		t.Run(number, func(t *testing.T) {
			g := NewWithT(t)
			wanted := web
			wanted.Droplet = new(*web.Droplet)
			change(&wanted)
			wire := exampleLRP(t, number)
			body, err := wire.Marshal()
			g.Expect(err).NotTo(HaveOccurred())
			got, err := desiredLRP(wire)
			g.Expect(err).NotTo(HaveOccurred())
			for _, secret := range []string{"s3cr3t", "pa$$word", "PRIVATE KEY", "authorizedKey", "FOO", "from-operator", "export/vol1"} {
				g.Expect(got.OriginalRequest).NotTo(ContainSubstring(secret))
			}
			g.Expect(json.Valid([]byte(got.OriginalRequest))).To(BeTrue())
			unchanged, err := wire.Marshal()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(unchanged).To(HaveLen(len(body)), "the message belongs to the caller")
			got.OriginalRequest = ""
			expectEqual(t, got, wanted)

			normalized, err := got.Normalize()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(normalized.Validate()).To(Succeed())
		})
	}
}

// People find the request without environment, credentials and keys.
func TestOriginalRequest(t *testing.T) {
	g := NewWithT(t)
	wire := exampleLRP(t, "01")
	wire.ImageLayers[1].Url = "https://user:pw@blobstore.internal/droplet?signature=abc"
	secret := json.RawMessage(`{"key":"s3cr3t"}`)
	(*wire.Routes)["unknown-router"] = &secret
	lrp, err := desiredLRP(wire)
	g.Expect(err).NotTo(HaveOccurred())
	wanted, err := os.ReadFile("testdata/original-request.json")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lrp.OriginalRequest).To(MatchJSON(wanted), lrp.OriginalRequest)
	g.Expect(lrp.OriginalRequest).NotTo(ContainSubstring("\n"))
}
