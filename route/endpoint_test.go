package route

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// An endpoint that differs in any field is registered again.
func TestEveryFieldIsCompared(t *testing.T) {
	g := NewWithT(t)
	fields := reflect.TypeFor[Endpoint]()
	for i := range fields.NumField() {
		var one, other Endpoint
		field := reflect.ValueOf(&other).Elem().Field(i)
		switch field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.Unix(1, 0)))
		case Process:
			other.Process.Organization.Name = "other"
		case []string:
			field.Set(reflect.ValueOf([]string{"other"}))
		case map[string]json.RawMessage:
			field.Set(reflect.ValueOf(map[string]json.RawMessage{"other": json.RawMessage("1")}))
		case string:
			field.SetString("other")
		case int:
			field.SetInt(1)
		default:
			field.SetUint(1)
		}
		g.Expect(one.equal(&other)).To(BeFalse(), fields.Field(i).Name)
		one = other
		g.Expect(one.equal(&other)).To(BeTrue(), fields.Field(i).Name)
	}
}
