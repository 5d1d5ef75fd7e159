package opi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestRefusals(t *testing.T) {
	g := NewWithT(t)
	first := time.Unix(1000, 0)
	refusals := NewRefusals()
	g.Expect(refusals.Instances("g-v")).To(BeNil())

	refusals.Keep("g-v", Refusal{Reason: "no room\x1b", Lasting: true, Instances: 2, At: first})
	refusals.Keep("g-v", Refusal{Reason: "no room", Instances: -1, At: first.Add(time.Hour)})
	g.Expect(refusals.Instances("g-v")).To(Equal([]Instance{{State: InstanceUnclaimed, Since: first, PlacementError: "no room"}}))

	refusals.Keep("g-v", Refusal{Reason: strings.Repeat("é", 4000), Lasting: true, Instances: 2, At: first.Add(time.Hour)})
	found := refusals.Instances("g-v")
	g.Expect(found).To(HaveLen(2))
	g.Expect(found[1].Index).To(Equal(1))
	g.Expect(found[1].State).To(Equal(InstanceCrashed))
	g.Expect(found[1].Since).To(Equal(first.Add(time.Hour)), "another reason")
	g.Expect(len(found[1].PlacementError)).To(BeNumerically("<=", 1<<10))

	refusals.Forget("g-v")
	g.Expect(refusals.Instances("g-v")).To(BeNil())
}

func TestRefusalsAreBounded(t *testing.T) {
	g := NewWithT(t)
	refusals := NewRefusals()
	for n := range 3000 {
		refusals.Keep(fmt.Sprint(n), Refusal{Reason: "no room", Instances: 1 << 20})
	}
	g.Expect(refusals.Instances("0")).To(BeNil())
	g.Expect(refusals.Instances("2999")).To(HaveLen(1000))
}
