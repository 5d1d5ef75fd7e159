package render

import (
	"encoding/json"
	"os"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// A record that any release has ever written must stay readable: LRPs outlive
// releases. The file is what version 1 wrote; never write it anew.
func TestRecordVersion1StaysReadable(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile("testdata/record-v1.json")
	g.Expect(err).NotTo(HaveOccurred())
	r, err := decodeRecord(string(text), nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.StackRevision).To(Equal("4f1a9c07"))
	g.Expect(r.LRP).To(Equal(fullLRP()))
}

func TestRecordHoldsNeitherSecretsNorWhatUpdatesChange(t *testing.T) {
	g := NewWithT(t)
	lrp := fullLRP()
	lrp.Environment = map[string]string{"A": "hidden"}
	lrp.Processes[0].Environment = map[string]string{"A": "hidden"}
	lrp.Instances, lrp.Annotation = 3, "1.0"
	lrp.Routes.HTTP = []opi.HTTPRoute{{Hostname: "a.example.com", Port: 8080}}
	lrp.Files[0].Content, lrp.SSHRoute = []byte("hidden"), []byte(`{"private_key":"hidden"}`)
	lrp.RootFS.Image.Credentials = &opi.RegistryCredentials{Username: "hidden", Password: "hidden"}
	text, err := newRecord(lrp, AppImage{Revision: "4f1a9c07", Stack: "cflinuxfs3"}).encode()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text).NotTo(ContainSubstring("hidden"))
	r, err := decodeRecord(text, nil)
	g.Expect(err).NotTo(HaveOccurred())
	recorded := fullLRP()
	recorded.MetricTags, recorded.Files[0].Content, recorded.Processes[0].Environment = nil, nil, nil
	g.Expect(r.LRP).To(Equal(recorded))
}

func TestRecordWithEgressRulesInTheSecret(t *testing.T) {
	g := NewWithT(t)
	rules, err := compress([]byte(`[{"protocol":"tcp","destinations":["1.2.3.4"],"ports":[80]}]`))
	g.Expect(err).NotTo(HaveOccurred())
	r, err := decodeRecord(`{"version":1,"egressRulesInSecret":true,"lrp":{"guid":"g","version":"v"}}`, map[string][]byte{secretKeyEgressRules: rules})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.LRP.EgressRules).To(Equal([]opi.EgressRule{{Protocol: "tcp", Destinations: []string{"1.2.3.4"}, Ports: []int32{80}}}))
	_, err = decodeRecord(`{"version":1,"egressRulesInSecret":true}`, nil)
	g.Expect(err).To(MatchError(ContainSubstring("egress rules")))
}

func TestRecordOfALaterRelease(t *testing.T) {
	_, err := decodeRecord(`{"version":2}`, nil)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("version 2 is not known")))
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(`{"version":1,"lrp":{"guid":"g"}}`)
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = decodeRecord(text, nil) // must not panic
	})
}

// fullLRP has a value in every field that a record keeps.
func fullLRP() opi.LRP {
	check := opi.Check{Kind: opi.CheckHTTP, Port: 8080, Path: "/health", Interval: 5e9, Timeout: 1e9}
	return opi.LRP{
		LRPIdentifier:       opi.LRPIdentifier{GUID: "g", Version: "v"},
		ProcessType:         "web",
		App:                 opi.Owner{GUID: "a", Name: "app"},
		Space:               opi.Owner{GUID: "s", Name: "space"},
		Organization:        opi.Owner{GUID: "o", Name: "org"},
		RootFS:              opi.RootFS{Stack: "cflinuxfs4", Image: &opi.Image{Reference: "org/image"}},
		Droplet:             &opi.Droplet{GUID: "d", Checksum: opi.Checksum{Algorithm: "sha1", Value: "abc"}, URL: "https://blobstore/d"},
		Processes:           []opi.Process{{Name: "p", Command: []string{"run"}, User: "u", Environment: map[string]string{"X": "y"}, MemoryMiB: 64}},
		Limits:              opi.Limits{MemoryMiB: 1, DiskMiB: 2, CPUWeight: 3, FileDescriptors: 4, PIDs: 5, LogBytesPerSecond: new(int64(6))},
		Ports:               []int32{8080},
		Checks:              opi.Checks{Startup: check, StartTimeout: 6e10, Liveness: check, Readiness: check},
		Volumes:             []opi.Volume{{Driver: "nfs", ID: "v", Directory: "/data", ReadOnly: true, Config: map[string]json.RawMessage{"a": json.RawMessage(`"b"`)}}},
		EgressRules:         []opi.EgressRule{{Protocol: "icmp", Destinations: []string{"0.0.0.0/0"}, PortRange: &opi.PortRange{Start: 1, End: 2}, ICMP: &opi.ICMP{Type: 8, Code: -1}, Log: true, Annotations: []string{"x"}}},
		PlacementTags:       []string{"segment"},
		OrganizationalUnits: []string{"app:a"},
		MetricTags:          map[string]opi.MetricTag{"k": {Text: "v"}},
		Files:               []opi.File{{Path: "p", Content: []byte("c")}},
		UserAnnotations:     map[string]string{"prometheus.io/port": "6666"},
	}
}

func TestRecordedPIDs(t *testing.T) {
	g := NewWithT(t)
	text, err := newRecord(fullLRP(), AppImage{}).encode()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(RecordedPIDs(text)).To(BeEquivalentTo(5))
	g.Expect(RecordedPIDs(`{"version":1,"lrp":{"guid":"g"}}`)).To(BeZero())
	g.Expect(RecordedPIDs(`{"pids" edited`)).To(BeZero())
	g.Expect(RecordedPIDs("")).To(BeZero())
}
