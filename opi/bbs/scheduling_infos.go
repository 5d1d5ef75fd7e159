package bbs

import (
	"context"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// listSchedulingInfos answers with all LRPs of a domain. Cloud Controller requests it every
// 30 s, desires what is missing and stops what it does not have itself: the list is complete
// and has LRPs of no other domain. Entries come in no order. An entry is encoded once for each
// version of an LRP: looking up its many texts in memory takes longer than sending it.
func (h *lrpRoutes) listSchedulingInfos(ctx context.Context, request *models.DesiredLRPsRequest, out *answer) error {
	matches := newFilter(request)
	return h.lrps.EachListed(ctx, h.adoption.doors(), func(lrp *opi.ListedLRP) error {
		domain, ok := h.domainOf(lrp.Door, lrp.Domain)
		if !ok || !matches.lrp(domain, lrp.LRPIdentifier, lrp.AppGUID) {
			return nil
		}
		if encoded := lrp.Encoding.Load(); encoded != "" {
			out.buffer = append(out.buffer, encoded...)
			return out.sendChunk()
		}
		begin := len(out.buffer)
		out.buffer = appendPart(out.buffer, entryField, func(to []byte) []byte { return appendSchedulingInfo(to, lrp, domain) })
		lrp.Encoding.Store(out.buffer[begin:])
		return out.sendChunk()
	})
}

// appendSchedulingInfo appends the fields of [models.DesiredLRPSchedulingInfo]. Cloud
// Controller needs its parts to be there even if they are empty.
func appendSchedulingInfo(to []byte, lrp *opi.ListedLRP, domain string) []byte {
	to = appendPart(to, 1, func(to []byte) []byte { // desired_lrp_key
		if lrp.Version == "" {
			to = appendText(to, 1, lrp.GUID)
		} else {
			to = appendText(to, 1, lrp.GUID, "-", lrp.Version) // its ProcessGUID
		}
		to = appendText(to, 2, domain)
		return appendText(to, 3, lrp.AppGUID)
	})
	to = appendText(to, 2, lrp.Annotation)
	to = appendNumber(to, 3, int64(lrp.Instances))
	to = appendPart(to, 4, func(to []byte) []byte { // desired_lrp_resource
		to = appendNumber(to, 1, int64(lrp.MemoryMiB))
		to = appendNumber(to, 2, int64(lrp.DiskMiB))
		if lrp.Image == "" {
			to = appendText(to, 3, stackScheme, lrp.Stack)
		} else {
			to = appendText(to, 3, wireRootFS("", lrp.Image))
		}
		return appendNumber(to, 4, int64(lrp.PIDs))
	})
	to = appendPart(to, 5, func(to []byte) []byte { return appendRouteTexts(to, lrp.Routes) })
	to = appendPart(to, 6, func(to []byte) []byte { // modification_tag
		to = appendText(to, 1, lrp.Modification.Epoch)
		return appendNumber(to, 2, int64(lrp.Modification.Index))
	})
	return appendText(to, 8, lrp.PlacementTag)
}
