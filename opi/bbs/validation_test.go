package bbs_test

import (
	"testing"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"
)

// Diego's own rules panic on actions that contain no action.
func TestActionsWithoutContentAreInvalid(t *testing.T) {
	for name, action := range map[string]*models.Action{
		"none":         {},
		"timeout":      {TimeoutAction: &models.TimeoutAction{TimeoutMs: 1}},
		"empty":        {TimeoutAction: &models.TimeoutAction{TimeoutMs: 1, Action: &models.Action{}}},
		"try":          {TryAction: &models.TryAction{}},
		"serial":       {SerialAction: &models.SerialAction{Actions: []*models.Action{{}}}},
		"parallel":     {ParallelAction: &models.ParallelAction{Actions: []*models.Action{{}}}},
		"codependent":  {CodependentAction: &models.CodependentAction{Actions: []*models.Action{{}}}},
		"emit":         {EmitProgressAction: &models.EmitProgressAction{}},
		"emit, nested": {EmitProgressAction: &models.EmitProgressAction{Action: &models.Action{TryAction: &models.TryAction{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := newDoor(newPlatform())
			var request models.DesireLRPRequest
			g.Expect(request.Unmarshal(example(g, "04-desire-lrp-docker"))).To(Succeed())
			request.DesiredLrp.Action = action
			var answer models.DesiredLRPLifecycleResponse
			d.post(g, "/v1/desired_lrp/desire.r2", &request, &answer)
			g.Expect(answer.Error.Type).To(Equal(models.Error_InvalidRequest))
			g.Expect(answer.Error.Message).NotTo(BeEmpty())
			t.Log(answer.Error.Message)
		})
	}
}
