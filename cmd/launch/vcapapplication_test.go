package main

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestMergeOfInstanceValues(t *testing.T) {
	all := environment{"CF_INSTANCE_GUID=g-1", "CF_INSTANCE_INDEX=12", "PORT=8080"}
	const ours = `"instance_id":"g-1","instance_index":12,"host":"0.0.0.0","port":8080`
	for name, c := range map[string]struct {
		env      environment
		vcap     string
		want     string
		problems []string
	}{
		"into nothing":            {env: all, vcap: `{}`, want: `{` + ours + `}`},
		"after what was there":    {env: all, vcap: `{"a":1}`, want: `{"a":1,` + ours + `}`},
		"exact text":              {env: all, vcap: "{ \"z\" : 1.50e+300 ,\n\"a\":[1 , 2],\"u\":\"\\u00e4<&>\\/\" }", want: "{\"z\" : 1.50e+300,\"a\":[1 , 2],\"u\":\"\\u00e4<&>\\/\"," + ours + `}`},
		"big numbers":             {env: all, vcap: `{"n":123456789012345678901234567890,"f":0.1000000000000000055511151231257827}`, want: `{"n":123456789012345678901234567890,"f":0.1000000000000000055511151231257827,` + ours + `}`},
		"unicode":                 {env: all, vcap: `{"näme":"☃ 😀 \ud83d\ude00"}`, want: `{"näme":"☃ 😀 \ud83d\ude00",` + ours + `}`},
		"keys that look like it":  {env: all, vcap: `{"Port":1,"sub":{"port":2}}`, want: `{"Port":1,"sub":{"port":2},` + ours + `}`},
		"old values go":           {env: all, vcap: `{"port":1,"a":2,"host":"h","port":3,"instance\u005findex":null}`, want: `{"a":2,` + ours + `}`},
		"duplicates stay":         {env: all, vcap: `{"a":1,"a":2}`, want: `{"a":1,"a":2,` + ours + `}`},
		"worker":                  {env: environment{"CF_INSTANCE_GUID=g", "CF_INSTANCE_INDEX=0", "PORT="}, vcap: `{}`, want: `{"instance_id":"g","instance_index":0,"host":"0.0.0.0"}`},
		"task":                    {env: nil, vcap: `{}`, want: `{"host":"0.0.0.0"}`},
		"names without CF":        {env: environment{"CF_INSTANCE_GUID=", "INSTANCE_GUID=g", "INSTANCE_INDEX=1"}, vcap: `{}`, want: `{"instance_id":"g","instance_index":1,"host":"0.0.0.0"}`},
		"text that needs quoting": {env: environment{`INSTANCE_GUID=a"b\`}, vcap: `{}`, want: `{"instance_id":"a\"b\\","host":"0.0.0.0"}`},
		"senseless numbers": {env: environment{"CF_INSTANCE_INDEX=-1", "PORT=65536"}, vcap: `{"port":7}`, want: `{"port":7,"host":"0.0.0.0"}`,
			problems: []string{`no instance_index: the index "-1"`, `no port: PORT "65536"`}},
		"not JSON":         {env: all, vcap: `{"a":`, want: `{"a":`, problems: []string{"VCAP_APPLICATION stays as it was: it is not JSON"}},
		"empty":            {env: all, vcap: ``, want: ``, problems: []string{"VCAP_APPLICATION stays as it was: it is not JSON"}},
		"more than one":    {env: all, vcap: `{} {}`, want: `{} {}`, problems: []string{"VCAP_APPLICATION stays as it was: it is not JSON"}},
		"not an object":    {env: all, vcap: `["a"]`, want: `["a"]`, problems: []string{"VCAP_APPLICATION stays as it was: it is JSON but not an object"}},
		"null":             {env: all, vcap: `null`, want: `null`, problems: []string{"VCAP_APPLICATION stays as it was: it is JSON but not an object"}},
		"blanks around it": {env: all, vcap: " {}\n", want: `{` + ours + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			env, problems := appEnvironment(append(c.env, "VCAP_APPLICATION="+c.vcap), "/home/vcap")
			g.Expect(env.get("VCAP_APPLICATION")).To(Equal(c.want))
			g.Expect(problems).To(HaveLen(len(c.problems)))
			for i, want := range c.problems {
				g.Expect(problems[i]).To(MatchError(ContainSubstring(want)))
			}
		})
	}
}

func TestAbsentVCAPApplicationStaysAbsent(t *testing.T) {
	g := NewWithT(t)
	env, problems := appEnvironment(environment{"PORT=8080"}, "/home/vcap")
	g.Expect(problems).To(BeEmpty())
	_, ok := env.lookup("VCAP_APPLICATION")
	g.Expect(ok).To(BeFalse())
}
