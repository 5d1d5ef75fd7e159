package bbs

import (
	"context"

	"code.cloudfoundry.org/bbs/models"
	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/opi"
)

// desire answers with success if the LRP exists. One that exists already gets the instances,
// routes, annotation and metric tags of the request.
func (h *lrpRoutes) desire(ctx context.Context, request *models.DesireLRPRequest) error {
	if err := h.desireLRP(ctx, request.DesiredLrp); err != nil {
		return err
	}
	h.refusals.Forget(request.DesiredLrp.ProcessGuid)
	return nil
}

// noteRefusal keeps why an LRP is refused, for the lists of instances to show: Cloud
// Controller's sync desires it again and again, and its user sees no answer.
func (h *lrpRoutes) noteRefusal(request *models.DesireLRPRequest, err error) {
	lrp := request.GetDesiredLrp()
	if lrp.GetProcessGuid() == "" || len(lrp.ProcessGuid) > maxProcessGUIDBytes {
		return
	}
	h.refusals.Keep(lrp.ProcessGuid, opi.Refusal{
		Reason: refusalText(err), Lasting: !isUnavailable(err), Instances: int(lrp.Instances), At: h.clock.Now(),
	})
}

// maxProcessGUIDBytes is the length of the longest guid that an LRP can have.
const maxProcessGUIDBytes = 127

func (h *lrpRoutes) desireLRP(ctx context.Context, wire *models.DesiredLRP) error {
	lrp, err := desiredLRP(wire)
	if err != nil {
		return err // The rules of the domain would find more faults in what is left.
	}
	lrp, odd := lrp.Normalize()
	if err := lrp.Validate(); err != nil {
		return err
	}
	if faults := faults(odd); faults != "" {
		h.logger.Info("odd-values", lager.Data{"process_guid": wire.ProcessGuid, "left_out": faults})
	}
	return h.lrps.Desire(ctx, lrp)
}

// refusalText returns the text for the app's developer.
func refusalText(err error) string {
	if isUnavailable(err) {
		if message := opi.Message(err); message != "" {
			return message
		}
		return "the platform can't start the app at present; it may be able to later"
	}
	return wireError(startApp, err).Message
}
