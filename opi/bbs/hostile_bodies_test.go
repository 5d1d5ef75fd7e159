package bbs_test

import (
	"bytes"
	"net/http"
	"runtime"
	"testing"

	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/encoding/protowire"
)

// routes are all of the door.
var routes = []string{
	"/v1/ping", "/v1/cells/list.r1", "/v1/domains/list", "/v1/domains/upsert",
	"/v1/desired_lrp/desire.r2", "/v1/desired_lrp/update", "/v1/desired_lrp/remove",
	"/v1/desired_lrps/get_by_process_guid.r2", "/v1/desired_lrps/get_by_process_guid.r3",
	"/v1/desired_lrps/list.r2", "/v1/desired_lrps/list.r3", "/v1/desired_lrp_scheduling_infos/list",
	"/v1/actual_lrps/list", "/v1/actual_lrps/list_by_process_guids", "/v1/actual_lrps/retire",
	"/v1/tasks/desire.r2", "/v1/tasks/desire.r3", "/v1/tasks/get_by_task_guid.r2", "/v1/tasks/get_by_task_guid.r3",
	"/v1/tasks/list.r2", "/v1/tasks/list.r3", "/v1/tasks/cancel",
}

// nested returns an action of that many levels in a request for an LRP or a task: field is that
// of the action in it.
func nested(field protowire.Number, levels int) []byte {
	var body []byte
	wrap := func(number protowire.Number) {
		body = append(protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType), uint64(len(body))), body...)
	}
	for range levels {
		wrap(1) // the action in a try action
		wrap(6) // the try action in an action
	}
	wrap(field)
	wrap(1)
	return body
}

func TestHostileBodiesCostLittle(t *testing.T) {
	const size = 1 << 20
	bodies := map[string][]byte{
		"a length beyond the body":            []byte("\x0a\xff\xff\xff\xff\x07"),
		"a length beyond all numbers":         []byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"a packed list longer than the body":  []byte("\x0a\x07\x72\xff\xff\xff\xff\x07\x01"),
		"an LRP of nested actions":            nested(7, 5_000),
		"a task of nested actions":            nested(3, 5_000),
		"groups in groups":                    bytes.Repeat([]byte("\x0b"), size),
		"the same field again and again":      bytes.Repeat([]byte("\x0a\x00"), size/2),
		"the same field with another inside":  bytes.Repeat([]byte("\x0a\x02\x0a\x00"), size/4),
		"variables of an LRP without content": bytes.Repeat([]byte("\x0a\x02\x2a\x00"), size/4),
		"entries of a map without content":    bytes.Repeat([]byte("\x0a\x03\x9a\x02\x00"), size/5),
		"unknown fields":                      bytes.Repeat([]byte("\xfa\x3f\x00"), size/3),
	}
	for _, route := range routes {
		for name, body := range bodies {
			t.Run(route+" "+name, func(t *testing.T) {
				g := NewWithT(t)
				d := newDoor(newPlatform(dora()))
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				answer := d.send(route, body)
				runtime.ReadMemStats(&after)
				g.Expect(answer.Code).To(Equal(http.StatusOK))
				g.Expect(after.TotalAlloc-before.TotalAlloc).To(BeNumerically("<", 64<<20), "bytes for %d", len(body))
			})
		}
	}
}
