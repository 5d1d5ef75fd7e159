package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

var updateChart = flag.Bool("update-chart", false, "write what configuration keys mean for the Helm chart's schema")

const chartSchema = "../../deploy/helm/irene/values.schema.json"

// ofTheChart are keys that the chart sets by itself, those of its values bbs included.
var ofTheChart = regexp.MustCompile(`^(bbs\.listen\.(address|plaintext|tls\.client_names)|bbs\.adopt_opi|listen\.address|observe\.address|listen\.plaintext|kubernetes\.(kubeconfig_file|namespace)|leader_election\.(enabled|namespace|lease_name|identity)|stacks\.launch_file|stager\.program_file)$`)

// ofTheRegistrysChart are those of the registry's configuration.
var ofTheRegistrysChart = regexp.MustCompile(`^(listen\.address|listen\.tls|storage\.directory|anonymous|users)(\.|$)|^observe\.address$`)

// schemaOf is the JSON schema of a configuration's part at prefix, with descriptions
// from the document. Keys that name files are left out and handed to file.
func schemaOf(prefix string, kind reflect.Type, managed *regexp.Regexp, rows map[string][]string, file func(key string)) map[string]any {
	properties := map[string]any{}
	for i := range kind.NumField() {
		field := kind.Field(i)
		key := prefix + field.Tag.Get("json")
		name := strings.TrimSuffix(field.Tag.Get("json"), "[]")
		if managed.MatchString(key) {
			continue
		}
		if strings.HasSuffix(key, "_file") {
			file(key)
			continue
		}
		inner := field.Type
		switch {
		case inner == reflect.TypeFor[Duration]():
			properties[name] = map[string]any{"type": "string"}
		case inner.Kind() == reflect.Struct:
			part := schemaOf(key+".", inner, managed, rows, file)
			if len(part["properties"].(map[string]any)) > 0 {
				properties[name] = part
			}
			continue
		case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct:
			properties[name] = map[string]any{"type": "array", "items": schemaOf(key+"[].", inner.Elem(), managed, rows, file)}
		case inner.Kind() == reflect.Slice:
			properties[name] = map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
		case inner.Kind() == reflect.Bool:
			properties[name] = map[string]any{"type": "boolean"}
		case inner.Kind() == reflect.String:
			// YAML reads on and off without quotes as truth values.
			properties[name] = map[string]any{"type": []any{"string", "boolean"}}
			if inner == reflect.TypeFor[string]() {
				properties[name] = map[string]any{"type": "string"}
			}
		default:
			properties[name] = map[string]any{"type": "integer"}
		}
		if row := rows[key]; len(row) > 1 {
			properties[name].(map[string]any)["description"] = strings.ReplaceAll(row[1], "`", "")
		}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

// TestChartSchemaKnowsEveryKey keeps the chart in step with the configuration: a key
// that is new has to be there, too.
func TestChartSchemaKnowsEveryKey(t *testing.T) {
	g := NewWithT(t)
	present, err := os.ReadFile(chartSchema)
	g.Expect(err).NotTo(HaveOccurred())
	var schema map[string]any
	g.Expect(json.Unmarshal(present, &schema)).To(Succeed())
	var files []string
	parts := schema["$defs"].(map[string]any)
	parts["configuration"] = schemaOf("", reflect.TypeFor[Configuration](), ofTheChart, documents["service"].rows(t), func(key string) { files = append(files, key) })
	parts["registryConfiguration"] = schemaOf("", reflect.TypeFor[RegistryConfiguration](), ofTheRegistrysChart, documents["registry"].rows(t), func(string) {})
	slices.Sort(files)
	parts["files"].(map[string]any)["propertyNames"] = map[string]any{"enum": files}
	var wanted bytes.Buffer
	encoder := json.NewEncoder(&wanted)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	g.Expect(encoder.Encode(schema)).To(Succeed())
	if *updateChart {
		g.Expect(os.WriteFile(chartSchema, wanted.Bytes(), 0o644)).To(Succeed())
		return
	}
	g.Expect(string(present)).To(Equal(wanted.String()), "a key was added or changed; run: make chart-golden")
}

// TestChartsRenderValidConfigurations reads what the chart makes of its examples.
func TestChartsRenderValidConfigurations(t *testing.T) {
	rendered := map[string]map[string]any{}
	files, err := filepath.Glob("../../deploy/helm/testdata/platforms/*.golden.yaml")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(files).NotTo(BeEmpty())
	for _, file := range append(files, "../../deploy/helm/testdata/minimal.golden.yaml", "../../deploy/helm/testdata/complete.golden.yaml") {
		name := strings.TrimSuffix(filepath.Base(file), ".golden.yaml")
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			content, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			for document := range strings.SplitSeq(string(content), "\n---\n") {
				var object struct {
					Kind string
					Data map[string]string
				}
				g.Expect(yaml.Unmarshal([]byte(document), &object)).To(Succeed())
				if file, has := object.Data["irene.yml"]; has {
					_, err := parseConfiguration([]byte(file))
					g.Expect(err).NotTo(HaveOccurred())
					var tree map[string]any
					g.Expect(yaml.Unmarshal([]byte(file), &tree)).To(Succeed())
					rendered[name] = tree
				}
				if file, has := object.Data["registry.yml"]; has {
					_, err := parseRegistryConfiguration([]byte(file))
					g.Expect(err).NotTo(HaveOccurred())
				}
			}
			g.Expect(rendered).To(HaveKey(name))
		})
	}
	g := NewWithT(t)
	for key := range maps.Keys(leaves("", reflect.ValueOf(DefaultConfiguration()))) {
		if slices.Contains([]string{"registry.stack_revision", "droplets.source.url_file", "droplets.source.cloud_controller"}, key) {
			continue // registry.address and droplets.source.url are there instead
		}
		if !ofTheChart.MatchString(key) || strings.HasSuffix(key, ".namespace") {
			g.Expect(given(rendered["complete"], key)).To(BeTrue(), "a new key belongs into deploy/helm/testdata/complete.values.yaml, before make chart-golden: "+key)
		}
	}
}
