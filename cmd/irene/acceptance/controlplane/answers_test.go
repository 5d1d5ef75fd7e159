//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// answered matches an answer's status, and shows its message if it is another.
func answered(status int) types.GomegaMatcher {
	return WithTransform(func(answer cloudcontroller.Answer) string {
		return fmt.Sprintf("%d %s", answer.Status, answer.Message())
	}, HavePrefix("%d ", status))
}

// desire sends the PUT and wants it accepted.
func desire(ctx context.Context, irene *ireneprocess.Process, d cloudcontroller.Desire) {
	GinkgoHelper()
	Expect(irene.Desire(ctx, d)).To(answered(202))
}

// states waits until the instances are in these states.
func states(ctx context.Context, irene *ireneprocess.Process, d cloudcontroller.Desire, expected ...string) {
	GinkgoHelper()
	Eventually(irene.States).WithContext(ctx).WithArguments(d.GUID(), d.Version()).Should(Equal(expected))
}

// running waits until that many instances run.
func running(ctx context.Context, irene *ireneprocess.Process, d cloudcontroller.Desire, instances int) {
	GinkgoHelper()
	states(ctx, irene, d, slices.Repeat([]string{"RUNNING"}, instances)...)
}

// run desires an app and waits until all its instances run.
func run(ctx context.Context, irene *ireneprocess.Process, d cloudcontroller.Desire) {
	GinkgoHelper()
	desire(ctx, irene, d)
	running(ctx, irene, d, instancesOf(d))
}

func instancesOf(d cloudcontroller.Desire) int {
	switch instances := d["instances"].(type) {
	case int:
		return instances
	case float64:
		return int(instances)
	default:
		panic(fmt.Sprintf("instances are a %T", instances))
	}
}

// annotation is what GET /apps says of the LRP.
func annotation(ctx context.Context, irene *ireneprocess.Process, d cloudcontroller.Desire) string {
	GinkgoHelper()
	list, err := irene.List(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(list).To(HaveKey(d.ProcessGUID()))
	return list[d.ProcessGUID()]
}
