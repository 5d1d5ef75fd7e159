//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

// heldRoutes returns the routes of an LRP as the common irene reports them.
func heldRoutes(ctx context.Context, d cloudcontroller.Desire) string {
	GinkgoHelper()
	answer, err := irene.Get(ctx, d.GUID(), d.Version())
	Expect(err).NotTo(HaveOccurred())
	Expect(answer).To(controlplane.Answered(200))
	var held struct {
		LRP struct {
			Routes json.RawMessage `json:"routes"`
		} `json:"desired_lrp"`
	}
	Expect(json.Unmarshal(answer.Body, &held)).To(Succeed())
	return string(held.LRP.Routes)
}
