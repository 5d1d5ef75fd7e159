package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

const documentation = "../../docs/configuration.md"

// leaves are the paths of all keys that hold a value, with the value.
func leaves(prefix string, value reflect.Value) map[string]any {
	found := map[string]any{}
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		key := prefix + field.Tag.Get("json")
		inner := value.Field(i)
		if inner.Kind() == reflect.Struct && inner.Type() != reflect.TypeFor[Duration]() {
			for path, leaf := range leaves(key+".", inner) {
				found[path] = leaf
			}
			continue
		}
		found[key] = inner.Interface()
	}
	return found
}

func documentationText(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func exampleYAML(t *testing.T) []byte {
	t.Helper()
	found := regexp.MustCompile("(?s)## A complete example.*?```yaml\n(.*?)```").FindStringSubmatch(documentationText(t))
	if found == nil {
		t.Fatal("the document has no complete example")
	}
	return []byte(found[1])
}

func TestDocumentationHasEveryKeyWithItsDefault(t *testing.T) {
	g := NewWithT(t)
	rows := map[string][]string{}
	for line := range strings.Lines(documentationText(t)) {
		if strings.HasPrefix(line, "| `") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows[strings.Trim(cells[0], "`")] = cells
		}
	}
	defaults := leaves("", reflect.ValueOf(DefaultConfiguration()))
	for key, value := range defaults {
		g.Expect(rows).To(HaveKey(key))
		g.Expect(rows[key]).To(HaveLen(5), key)
		for _, cell := range rows[key] {
			g.Expect(cell).NotTo(BeEmpty(), key)
		}
		documented := rows[key][3]
		if want := fmt.Sprint(value); want == "" || want == "[]" {
			g.Expect(documented).To(Or(Equal("none"), Equal("empty")), key)
		} else {
			g.Expect(documented).To(Equal("`"+want+"`"), key)
		}
	}
	for key := range rows {
		g.Expect(defaults).To(HaveKey(key), "documented, but not a key")
	}
}

func TestDocumentedExampleIsCompleteAndLoads(t *testing.T) {
	g := NewWithT(t)
	example, err := parseConfiguration(exampleYAML(t))
	g.Expect(err).NotTo(HaveOccurred())

	var tree map[string]any
	g.Expect(yaml.Unmarshal(exampleYAML(t), &tree)).To(Succeed())
	for key := range leaves("", reflect.ValueOf(example)) {
		at := any(tree)
		for part := range strings.SplitSeq(key, ".") {
			g.Expect(at).To(HaveKey(part), key)
			at = at.(map[string]any)[part]
		}
	}

	example.Listen.TLS = TLS{}
	example.Kubernetes.Namespace = ""
	example.Registry.PullAddress = ""
	g.Expect(example).To(Equal(DefaultConfiguration()), "the example shows the defaults")
}
