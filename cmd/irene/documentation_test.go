package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

// documented is a configuration and the document that describes it.
type documented struct {
	path     string
	defaults any
	// parse reads the complete example. bare is what it says without what has no
	// default and must stand in it.
	parse func(example []byte) (read, bare any, err error)
}

var documents = map[string]documented{
	"service": {
		path:     "../../docs/configuration.md",
		defaults: DefaultConfiguration(),
		parse: func(example []byte) (read, bare any, err error) {
			c, err := parseConfiguration(example)
			read = c
			c.Listen.TLS = TLS{}
			c.Kubernetes.Namespace, c.Kubernetes.Pods.HostAliases = "", []HostAlias{}
			c.Registry.PullAddress = ""
			return read, c, err
		},
	},
	"registry": {
		path:     "../../docs/registry.md",
		defaults: DefaultRegistryConfiguration(),
		parse: func(example []byte) (read, bare any, err error) {
			c, err := parseRegistryConfiguration(example)
			read = c
			c.Listen.TLS = RegistryTLS{}
			c.Users = nil
			c.GarbageCollection.Unused = nil
			return read, c, err
		},
	},
}

// leaves are the paths of all keys that hold a value, with the value. A list of
// mappings is one, and so is each key in it, as users[].name, with its value in an empty
// mapping.
func leaves(prefix string, value reflect.Value) map[string]any {
	found := map[string]any{}
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		key := prefix + field.Tag.Get("json")
		inner := value.Field(i)
		switch {
		case inner.Kind() == reflect.Struct && inner.Type() != reflect.TypeFor[Duration]():
			maps.Copy(found, leaves(key+".", inner))
			continue
		case inner.Kind() == reflect.Slice && inner.Type().Elem().Kind() == reflect.Struct:
			maps.Copy(found, leaves(key+"[].", reflect.Zero(inner.Type().Elem())))
		}
		found[key] = inner.Interface()
	}
	return found
}

func (d documented) text(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func (d documented) example(t *testing.T) []byte {
	t.Helper()
	found := regexp.MustCompile("(?s)## A complete example.*?```yaml\n(.*?)```").FindStringSubmatch(d.text(t))
	if found == nil {
		t.Fatal("the document has no complete example")
	}
	return []byte(found[1])
}

// rows are the tables' rows by key.
func (d documented) rows(t *testing.T) map[string][]string {
	rows := map[string][]string{}
	for line := range strings.Lines(d.text(t)) {
		// Other tables, of metrics for one, have fewer columns.
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| `") || len(cells) < 5 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[strings.Trim(cells[0], "`")] = cells
	}
	return rows
}

func TestDocumentationHasEveryKeyWithItsDefault(t *testing.T) {
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			rows := document.rows(t)
			defaults := leaves("", reflect.ValueOf(document.defaults))
			for key, value := range defaults {
				g.Expect(rows).To(HaveKey(key))
				g.Expect(rows[key]).To(HaveLen(5), key)
				for _, cell := range rows[key] {
					g.Expect(cell).NotTo(BeEmpty(), key)
				}
				documented, want := rows[key][3], fmt.Sprint(value)
				// No time is given by default in a list's mappings.
				if want == "" || want == "[]" || want == "0s" && strings.Contains(key, "[].") {
					g.Expect(documented).To(Or(Equal("none"), Equal("empty")), key)
				} else {
					g.Expect(documented).To(Equal("`"+want+"`"), key)
				}
			}
			for key := range rows {
				g.Expect(defaults).To(HaveKey(key), "documented, but not a key")
			}
		})
	}
}

// given tells whether key, as of leaves, has a value in tree; in a list one mapping
// that has it is enough.
func given(tree any, key string) bool {
	part, rest, inner := strings.Cut(key, ".")
	name, isList := strings.CutSuffix(part, "[]")
	mapping, _ := tree.(map[string]any)
	value, found := mapping[name]
	if !inner || !found {
		return found
	}
	if !isList {
		return given(value, rest)
	}
	for _, element := range value.([]any) {
		if given(element, rest) {
			return true
		}
	}
	return false
}

func TestDocumentedExampleIsCompleteAndLoads(t *testing.T) {
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			example, bare, err := document.parse(document.example(t))
			g.Expect(err).NotTo(HaveOccurred())

			var tree map[string]any
			g.Expect(yaml.Unmarshal(document.example(t), &tree)).To(Succeed())
			for key := range leaves("", reflect.ValueOf(example)) {
				g.Expect(given(tree, key)).To(BeTrue(), key)
			}
			g.Expect(bare).To(Equal(document.defaults), "the example shows the defaults")
		})
	}
}
