package bbs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/opi"
)

// What the examples have in common.
const (
	doraGUID   = "1f1b1a52-8a0c-4f0e-9d41-5b6a0c2c0a01"
	workerGUID = "2e2b1a52-8a0c-4f0e-9d41-5b6a0c2c0a15"
	spaceGUID  = "5a2c4e68-1b3d-4f5a-8c7e-9d0b1a2c3e03"
	orgGUID    = "6b3d5f79-2c4e-4a6b-9d8f-0e1c2b3d4f04"
	version    = "7c3a2f6e-51a4-4a5d-8a53-0b6f8d9e1c02"

	dropletSHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	databaseURL   = "postgres://u:s3cr3t@10.0.0.9:5432/orders"
	systemCerts   = "/etc/cf-system-certificates"

	servicesText = `{"nfs":[{"label":"nfs","provider":null,"plan":"Existing","name":"files","tags":["nfs"],"instance_guid":"c1000000-0000-4000-8000-000000000008","instance_name":"files","binding_guid":"b1000000-0000-4000-8000-000000000007","binding_name":null,"credentials":{},"syslog_drain_url":null,"volume_mounts":[{"container_dir":"/var/vcap/data/shared","mode":"rw","device_type":"shared"}]}],"user-provided":[{"label":"user-provided","name":"orders","tags":[],"instance_guid":"c2000000-0000-4000-8000-000000000010","instance_name":"orders-db","binding_guid":"b2000000-0000-4000-8000-000000000009","binding_name":"orders","credentials":{"uri":"postgres://u:s3cr3t@10.0.0.9:5432/orders"},"syslog_drain_url":null,"volume_mounts":[]}]}`
)

var (
	doraApp   = opi.Owner{GUID: doraGUID, Name: "dora"}
	devSpace  = opi.Owner{GUID: spaceGUID, Name: "dev"}
	acmeOrg   = opi.Owner{GUID: orgGUID, Name: "acme"}
	unlimited = int64(-1)

	doraUnits = []string{"organization:" + orgGUID, "space:" + spaceGUID, "app:" + doraGUID}
	nfsVolume = opi.Volume{
		Driver: "nfsv3driver", ID: "vol-b1000000", Directory: "/var/vcap/data/shared",
		Config: map[string]json.RawMessage{"source": []byte(`"nfs://10.0.16.7/export/vol1"`), "uid": []byte(`"2000"`), "gid": []byte(`"2000"`)},
	}
	dnsRule = opi.EgressRule{
		Protocol: "udp", Destinations: []string{"10.0.2.2"}, Ports: []int32{53},
		Annotations: []string{"security_group_id:f00dbabe-0000-4000-8000-000000000006"},
	}
)

// runningRules are the rules of the security groups for running apps.
func runningRules() []opi.EgressRule {
	group := []string{"security_group_id:0aa11bb2-cc33-4dd4-8ee5-ff6677889905"}
	dns := dnsRule
	dns.Annotations = append(group[:1:1], dnsRule.Annotations...)
	return []opi.EgressRule{
		dns,
		{Protocol: "tcp", Destinations: []string{"192.168.1.1-192.168.1.9"}, PortRange: &opi.PortRange{Start: 1024, End: 65535}, Annotations: group},
		{Protocol: "icmp", Destinations: []string{"0.0.0.0/0"}, ICMP: &opi.ICMP{Type: 0, Code: -1}, Annotations: group},
		{Protocol: "all", Destinations: []string{"172.16.0.0/12"}, Annotations: group},
		{Protocol: "tcp", Destinations: []string{"10.0.11.0/24"}, Ports: []int32{80, 443}, Log: true, Annotations: group},
	}
}

// appTags are the metric tags of staging and tasks.
func appTags() map[string]opi.MetricTag {
	return tags(map[string]string{
		"source_id": doraGUID, "app_id": doraGUID, "app_name": "dora", "space_id": spaceGUID, "space_name": "dev",
		"organization_id": orgGUID, "organization_name": "acme",
	})
}

// processTags are the metric tags of an LRP.
func processTags(processGUID, processType string, more map[string]string) map[string]opi.MetricTag {
	all := appTags()
	for name, tag := range tags(map[string]string{"process_id": processGUID, "process_type": processType}) {
		all[name] = tag
	}
	for name, tag := range tags(more) {
		all[name] = tag
	}
	all["process_instance_id"] = opi.MetricTag{Dynamic: opi.TagInstanceGUID}
	all["instance_id"] = opi.MetricTag{Dynamic: opi.TagIndex}
	return all
}

func tags(texts map[string]string) map[string]opi.MetricTag {
	found := map[string]opi.MetricTag{}
	for name, text := range texts {
		found[name] = opi.MetricTag{Text: text}
	}
	return found
}

// vcapApplication returns the variable as the examples have it, which end differently.
func vcapApplication(memory, disk int, uris []string, end string) string {
	list, _ := json.Marshal(append([]string{}, uris...))
	return fmt.Sprintf(`{"cf_api":"https://api.example.com","limits":{"fds":16384,"mem":%d,"disk":%d},"application_name":"dora","application_uris":%s,"name":"dora",`+
		`"space_name":"dev","space_id":"%s","organization_id":"%s","organization_name":"acme","uris":%s,%s}`, memory, disk, list, spaceGUID, orgGUID, list, end)
}

func processApplication(memory int, processGUID, processType string, uris ...string) string {
	return vcapApplication(memory, 1024, uris, fmt.Sprintf(`"process_id":"%s","process_type":"%s","application_id":"%s","version":"%s","application_version":"%s"`,
		processGUID, processType, doraGUID, version, version))
}

func taskApplication(memory, disk int) string {
	const random = "00000000-1111-4222-8333-444444444444"
	return vcapApplication(memory, disk, nil, fmt.Sprintf(`"users":null,"application_id":"%s","version":"%s","application_version":"%s"`, doraGUID, random, random))
}

// withVariables adds the variables that users and operators have set to those given.
func withVariables(own map[string]string) map[string]string {
	all := map[string]string{"FOO": "bar", "JSON": `{"a":1}`, "DOLLAR": "$HOME and $$"}
	for name, value := range own {
		all[name] = value
	}
	return all
}

// expectEqual compares values of the domain; nil and empty lists are equal.
func expectEqual(t *testing.T, got, wanted any) {
	t.Helper()
	if difference := cmp.Diff(wanted, got, cmpopts.EquateEmpty()); difference != "" {
		t.Errorf("unexpected value (-wanted +got):\n%s", difference)
	}
}

// exampleBody returns the message of the example with the given number.
func exampleBody(t testing.TB, number string) []byte {
	t.Helper()
	g := NewWithT(t)
	entries, err := fixtures.BBS.ReadDir("bbs")
	g.Expect(err).NotTo(HaveOccurred())
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "bbs-"+number+"-") {
			body, err := fixtures.BBS.ReadFile("bbs/" + entry.Name())
			g.Expect(err).NotTo(HaveOccurred())
			return body
		}
	}
	t.Fatalf("there is no example %s", number)
	return nil
}

func exampleLRP(t testing.TB, number string) *models.DesiredLRP {
	t.Helper()
	var request models.DesireLRPRequest
	NewWithT(t).Expect(request.Unmarshal(exampleBody(t, number))).To(Succeed())
	return request.DesiredLrp
}

func exampleTask(t testing.TB, number string) *models.DesireTaskRequest {
	t.Helper()
	var request models.DesireTaskRequest
	NewWithT(t).Expect(request.Unmarshal(exampleBody(t, number))).To(Succeed())
	return &request
}

// errorText returns the faults in the order of their occurrence, one a line.
func errorText(err error) string {
	var lines []string
	for _, fault := range opi.FieldErrors(err) {
		lines = append(lines, fault.Error())
	}
	return strings.Join(lines, "\n")
}
