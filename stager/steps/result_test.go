package steps

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

const goodResult = `{"lifecycle_type":"buildpack","lifecycle_metadata":{"buildpack_key":"k","detected_buildpack":"Ruby","buildpacks":[{"key":"k","name":"ruby","version":"1.8"}]},"process_types":{"web":"bundle exec rackup && x > y"},"processes":[{"type":"web","command":"bundle exec rackup && x > y"}],"sidecars":[{"name":"s","process_types":["web"],"command":"c","memory":64}],"execution_metadata":""}` + "\n"

func TestResults(t *testing.T) {
	g := NewWithT(t)
	result, err := ParseResult([]byte(goodResult))
	g.Expect(err).NotTo(HaveOccurred())
	text, err := result.Text()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(Equal(goodResult))

	text, err = Result{LifecycleType: "buildpack"}.Text()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(Equal(`{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"","buildpacks":[]},"process_types":{},"execution_metadata":""}` + "\n"))
}

func TestWrongResults(t *testing.T) {
	for want, change := range map[string][2]string{
		"it is not JSON":                           {"{", ""},
		"process_types is of the wrong type":       {`{"web":"bundle exec rackup && x > y"},"processes"`, `["web"],"processes"`},
		"process_types is missing":                 {`"process_types":{"web"`, `"x":{"web"`},
		`lifecycle_type is not "buildpack"`:        {`"buildpack",`, `"docker",`},
		"a process has no type":                    {`"type":"web"`, `"type":""`},
		"a sidecar lacks name":                     {`"name":"s"`, `"name":""`},
		"or has less than no memory":               {`64`, `-1`},
		"a buildpack has no key":                   {`{"key":"k"`, `{"key":""`},
		"it contains a NUL character":              {`"Ruby"`, `"Ru\u0000by"`},
		"sidecars.memory is of the wrong type":     {`64`, `1e400`},
		"sidecars.memory is of the wrong type ":    {`64`, `"64"`},
		"it has more than 1048576 bytes":           {`{`, strings.Repeat(" ", 1<<20) + `{`},
		"lifecycle_metadata is of the wrong type":  {`{"buildpack_key":"k","detected_buildpack":"Ruby","buildpacks":[{"key":"k","name":"ruby","version":"1.8"}]}`, `7`},
		"a sidecar lacks name, command or process": {`["web"]`, `[]`},
	} {
		g := NewWithT(t)
		_, err := ParseResult([]byte(strings.Replace(goodResult, change[0], change[1], 1)))
		g.Expect(err).To(HaveOccurred(), want)
		g.Expect(err.Error()).To(ContainSubstring(strings.TrimSpace(want)))
	}
}

// Whatever user code writes: what is taken is written in one form, which is read as
// the same.
func FuzzParseResult(f *testing.F) {
	f.Add([]byte(goodResult))
	f.Add([]byte(`{"lifecycle_type":"buildpack","process_types":{},"sidecars":null,"unknown":[{}]}`))
	f.Add([]byte(`{"lifecycle_type":"buildpack","process_types":{"web":"\ud83d"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		result, err := ParseResult(text)
		if err != nil {
			return
		}
		first, err := result.Text()
		if err != nil {
			if len(text) < MaxResultBytes/8 {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseResult(first)
		if err != nil {
			t.Fatalf("%s is not read again: %v", first, err)
		}
		second, err := again.Text()
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s became %s", first, second)
		}
		if bytes.Contains(first, []byte(`\u0000`)) && strings.ContainsRune(result.LifecycleMetadata.DetectedBuildpack, 0) {
			t.Fatal("a NUL character got through")
		}
		if !reflect.DeepEqual(result.ProcessTypes, again.ProcessTypes) {
			t.Fatalf("process types changed: %v, %v", result.ProcessTypes, again.ProcessTypes)
		}
	})
}
