package api

import (
	"github.com/irene-cf/irene/opi"
)

// updateRequest is the body of POST /apps/:process_guid (contract 1.4). What is
// absent or null stays as it is, except for instances, which must be there: a
// request that lost it must not scale an app to zero.
type updateRequest struct {
	GUID    string  `json:"guid"`
	Version string  `json:"version"`
	Update  *update `json:"update"`
}

type update struct {
	Instances  *int32     `json:"instances"`
	Routes     wireRoutes `json:"routes"`
	Annotation *string    `json:"annotation"`
}

func (r updateRequest) lrpUpdate() (opi.LRPUpdate, error) {
	if r.Update == nil {
		return opi.LRPUpdate{}, malformed("update", "is missing")
	}
	if r.Update.Instances == nil {
		return opi.LRPUpdate{}, malformed("update.instances", "is missing")
	}
	instances := int(*r.Update.Instances)
	return opi.LRPUpdate{
		Instances:  &instances,
		Routes:     r.Update.Routes.routes(),
		Annotation: r.Update.Annotation,
	}, nil
}
