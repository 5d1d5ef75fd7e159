//go:build chart

package helm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

// platforms is the folder with the files of documents about single Cloud Foundries.
const platforms = "testdata/platforms"

// documentOf names the document that shows a file of platforms.
func documentOf(file string) string {
	switch name := filepath.Base(file); {
	case strings.HasPrefix(name, "kubecf-"):
		return module + "/docs/install-kubecf.md"
	case strings.HasPrefix(name, "install."):
		return module + "/docs/install.md"
	default:
		return module + "/docs/install-today.md"
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	g := NewWithT(t)
	found, err := filepath.Glob(filepath.Join(platforms, pattern))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).NotTo(BeEmpty())
	return found
}

// TestPlatformsRenderAsRecorded keeps the values that documents show in step with the chart.
func TestPlatformsRenderAsRecorded(t *testing.T) {
	for _, file := range files(t, "*.values.yaml") {
		name := strings.TrimSuffix(filepath.Base(file), ".values.yaml")
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			printed, complaints, err := helm("lint", "--strict", chart, "--values", file)
			g.Expect(err).NotTo(HaveOccurred(), printed+complaints)
			printed, complaints, err = template("--values", file, "--show-only", "templates/configuration.yaml", "--show-only", "templates/deployment.yaml",
				"--show-only", "templates/network.yaml", "--show-only", "templates/service.yaml")
			g.Expect(err).NotTo(HaveOccurred(), complaints)
			compareGolden(g, filepath.Join(platforms, name+".golden.yaml"), printed)
		})
	}
}

func TestDocumentsShowTheFilesOfPlatforms(t *testing.T) {
	shown := append(files(t, "*.values.yaml"), files(t, "*.ops.yaml")...)
	for _, file := range shown {
		t.Run(filepath.Base(file), func(t *testing.T) {
			g := NewWithT(t)
			content, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			document, err := os.ReadFile(documentOf(file))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(document)).To(ContainSubstring("\n```yaml\n" + string(content) + "```\n"))
			g.Expect(string(document)).To(ContainSubstring("deploy/helm/" + file))
		})
	}
}

// TestOperationsPointEveryJobAtIrene compares the ops files with the jobs of Cloud Controller
// that call it.
func TestOperationsPointEveryJobAtIrene(t *testing.T) {
	for name, jobs := range map[string][]string{
		"cf-deployment": {"api/cloud_controller_ng", "cc-worker/cloud_controller_worker", "scheduler/cloud_controller_clock", "scheduler/cc_deployment_updater"},
		"kubecf-1":      {"api/cloud_controller_ng", "cc-worker/cloud_controller_worker", "scheduler/cloud_controller_clock"},
		"kubecf-2":      {"api/cloud_controller_ng", "cc-worker/cloud_controller_worker", "scheduler/cloud_controller_clock"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			content, err := os.ReadFile(filepath.Join(platforms, name+".ops.yaml"))
			g.Expect(err).NotTo(HaveOccurred())
			var operations []struct {
				Type, Path string
				Value      any
			}
			g.Expect(yaml.UnmarshalStrict(content, &operations)).To(Succeed())
			addresses := map[any][]string{}
			for _, operation := range operations {
				parts := strings.Split(operation.Path, "/")
				if operation.Type != "replace" || len(parts) < 7 || parts[1] != "instance_groups" {
					continue
				}
				value := operation.Value
				if settings, ok := value.(map[string]any); ok {
					value = settings["url"]
				}
				job := strings.TrimPrefix(parts[2], "name=") + "/" + strings.TrimPrefix(parts[4], "name=")
				addresses[value] = append(addresses[value], job)
			}
			g.Expect(addresses).To(HaveLen(1), "one address for all jobs")
			for _, found := range addresses {
				g.Expect(found).To(Equal(jobs))
			}
		})
	}
}

// kind-deployment's own Service of that name goes only when Irene runs.
func TestTheNameOfTheOldBBSCanBeTakenOverLater(t *testing.T) {
	g := NewWithT(t)
	printed, complaints, err := template("--values", filepath.Join(platforms, "kind-deployment.values.yaml"), "--set", "service.aliases=null", "--show-only", "templates/service.yaml")
	g.Expect(err).NotTo(HaveOccurred(), complaints)
	g.Expect(printed).NotTo(ContainSubstring("ExternalName"))
}
