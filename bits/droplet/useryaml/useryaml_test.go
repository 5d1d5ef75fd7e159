package useryaml_test

import (
	"reflect"
	"testing"

	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	"github.com/irene-cf/irene/bits/droplet/useryaml"
)

func TestTheLastKeyCounts(t *testing.T) {
	for text, c := range map[string]struct {
		want     any
		repeated []string
	}{
		"web: ./old\nweb: ./bugapp\n":        {map[string]any{"web": "./bugapp"}, []string{"web (line 1)"}},
		"a: 1\nb: 2\na: 3\nc: 4\na: 5\n":     {map[string]any{"a": 5, "b": 2, "c": 4}, []string{"a (line 1)", "a (line 3)"}},
		"a: {b: 1, b: 2}\n":                  {map[string]any{"a": map[string]any{"b": 2}}, []string{"b (line 1)"}},
		"- {b: 1, b: 2}\n":                   {[]any{map[string]any{"b": 2}}, []string{"b (line 1)"}},
		"a: &x {b: 1, b: 2}\na: 7\nc: *x\n":  {map[string]any{"a": 7, "c": map[string]any{"b": 2}}, []string{"b (line 1)", "a (line 1)"}},
		"a: &x [1]\nb: *x\n":                 {map[string]any{"a": []any{1}, "b": []any{1}}, nil},
		"a: 1\n---\na: 2\n":                  {map[string]any{"a": 1}, nil},
		"":                                   {nil, nil},
		"# nothing\n":                        {nil, nil},
		"x: {a: 1}\ny: {a: 2}\n":             {map[string]any{"x": map[string]any{"a": 1}, "y": map[string]any{"a": 2}}, nil},
		"base: &b {a: 1}\nz: {<<: *b, c: 2}": {map[string]any{"base": map[string]any{"a": 1}, "z": map[string]any{"a": 1, "c": 2}}, nil},
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			var got any
			repeated, err := useryaml.Unmarshal([]byte(text), &got)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(reflect.DeepEqual(got, c.want)).To(BeTrue(), "%v", got)
			g.Expect(repeated).To(Equal(c.repeated))
		})
	}
	g := NewWithT(t)
	var got map[string]string
	_, err := useryaml.Unmarshal([]byte("a: [b"), &got)
	g.Expect(err).To(MatchError(HavePrefix("yaml: ")))
	_, err = useryaml.Unmarshal([]byte("a: [b]"), &got)
	g.Expect(err).To(HaveOccurred())
}

// What the parser reads by itself is read in the same way, and what it refuses because
// of a repeated key is read as well.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range []string{"web: a", "web: a\nweb: b", "a: &a [*a]", "&a {*a : 1}", "<<: {a: 1}\na: 2", "? {a: 1}\n: 2\n? {a: 1}\n: 3", "a: !!binary x", "--- \n...\n", "*x", "[{a: 1, a: 2}, &b {c: d}, *b]"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want map[string]string
		repeated, err := useryaml.Unmarshal(text, &got)
		wantErr := yaml.Unmarshal(text, &want)
		if wantErr == nil && (err != nil || len(repeated) > 0 || !reflect.DeepEqual(got, want)) {
			t.Fatalf("got %q %v %v, want %q", got, repeated, err, want)
		}
		if wantErr != nil && err == nil && len(repeated) == 0 {
			t.Fatalf("got %q, the parser says %v", got, wantErr)
		}
	})
}
