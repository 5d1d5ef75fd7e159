package vcapapplication

import (
	"encoding/json"
	"reflect"
	"testing"

	. "github.com/onsi/gomega"
)

func TestInstanceMembersLeavesOutWhatIsEmpty(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Merge(`{"a":1,"port":2}`, InstanceMembers(`"id"`, "3", "8080"))).
		To(Equal(`{"a":1,"instance_id":"id","instance_index":3,"host":"0.0.0.0","port":8080}`))
	g.Expect(Merge(`{"a":1,"port":2}`, InstanceMembers("", "", ""))).To(Equal(`{"a":1,"port":2,"host":"0.0.0.0"}`))
}

// Values that only become JSON later, when kubelet has replaced the reference.
func TestMergeDoesNotReadNewValues(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Merge(`{}`, []Member{{"instance_index", "$(CF_INSTANCE_INDEX)"}})).To(Equal(`{"instance_index":$(CF_INSTANCE_INDEX)}`))
}

// Whatever VCAP_APPLICATION holds: a merge is refused exactly when it is not a
// JSON object, and otherwise changes nothing but the merged members.
func FuzzMerge(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"port":1,"b":{"port":"x"}}`, ` { "a" : [ 1 , 2 ] , "☃":"\ud83d" } `,
		`{"a":1,"a":2}`, `null`, `[]`, `{"a":}`, `{"a" 1}`, `{,}`, `{"a":1,}`, `1e999`, "{\"\xff\":1}", `{"a":1e999}`, ``} {
		f.Add(seed)
	}
	members := []Member{{"instance_index", "3"}, {"port", "8080"}}
	f.Fuzz(func(t *testing.T, object string) {
		merged, err := Merge(object, members)
		var before map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(object), &before) == nil && before != nil
		if isObject != (err == nil) {
			t.Fatalf("is an object: %v, refused: %v", isObject, err)
		}
		if err != nil {
			return
		}
		var after map[string]json.RawMessage
		if err := json.Unmarshal([]byte(merged), &after); err != nil {
			t.Fatalf("made %q of %q: %v", merged, object, err)
		}
		for _, m := range members {
			before[m.Name] = json.RawMessage(m.Value)
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("made %q of %q", merged, object)
		}
		again, err := Merge(merged, members)
		if err != nil || again != merged {
			t.Fatalf("made %q of %q, then %q (%v)", merged, object, again, err)
		}
	})
}
