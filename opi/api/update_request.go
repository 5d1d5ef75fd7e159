package api

import (
	"errors"

	"github.com/irene-cf/irene/opi"
)

// updateRequest is the body of POST /apps/:process_guid (contract 1.4). What is
// absent or null stays as it is, except for instances, which must be there: a
// request that lost it must not scale an app to zero. That holds for each kind of
// routes by itself.
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

// lrpUpdate converts the request. The error joins one *opi.FieldError for each part
// that is missing or can't be read; what could be read is returned all the same.
func (r updateRequest) lrpUpdate() (opi.LRPUpdate, error) {
	if r.Update == nil {
		return opi.LRPUpdate{}, opi.Invalid("update", "is missing")
	}
	routes, err := r.Update.Routes.update()
	update := opi.LRPUpdate{Routes: routes, Annotation: r.Update.Annotation}
	if r.Update.Instances == nil {
		return update, errors.Join(opi.Invalid("update.instances", "is missing"), err)
	}
	instances := int(*r.Update.Instances)
	update.Instances = &instances
	return update, err
}
