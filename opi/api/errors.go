package api

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// malformedError is a request that can't be understood, as opposed to one that is
// understood and can't be honoured.
type malformedError struct {
	fields []*opi.FieldError
}

// Error joins the faults.
func (e *malformedError) Error() string { return describe(e.fields) }

func malformed(field, reason string) error {
	return &malformedError{fields: []*opi.FieldError{{Field: field, Reason: reason}}}
}

// joinFaults names all faults of a request. The request counts as malformed if a part
// can't be read, or if a route is malformed: no other state of the platform would make
// such a route good.
func joinFaults(unreadable, invalid error) error {
	isMalformed := unreadable != nil
	for _, fault := range opi.FieldErrors(invalid) {
		isMalformed = isMalformed || strings.HasPrefix(fault.Field, "routes.")
	}
	if isMalformed {
		return &malformedError{fields: mergeFaults(unreadable, invalid)}
	}
	return invalid
}

// mergeFaults returns the parts of a request that can't be read, which have the
// caller's names, and those that the domain refuses and that could be read.
func mergeFaults(unreadable, invalid error) []*opi.FieldError {
	faults := opi.FieldErrors(unreadable)
	named := map[string]bool{}
	for _, fault := range faults {
		named[fault.Field] = true
	}
	for _, fault := range opi.FieldErrors(invalid) {
		if !withinAny(named, wireNames.Translate(fault.Field)) {
			faults = append(faults, fault)
		}
	}
	return faults
}

// withinAny is whether the field or one that it is part of is named.
func withinAny(named map[string]bool, field string) bool {
	for field != "" {
		if named[field] {
			return true
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return false
}

// status is the HTTP status for an error, see the package comment.
func status(err error) int {
	var unreadable *malformedError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &unreadable):
		return http.StatusBadRequest
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case len(fieldErrors(err)) > 0, errors.Is(err, opi.ErrRefused):
		return http.StatusUnprocessableEntity
	case errors.Is(err, opi.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, opi.ErrUnavailable):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// userMessage returns an error's text for the caller, who shows it to app developers: the
// fields that are wrong, under the caller's names, or the message that the error carries.
// Errors without either speak of hosts, objects and guids, which is for logs: of them the
// text describes what could not be done, and whether it may succeed later. doing completes
// "the platform can't …".
func userMessage(doing string, err error) string {
	if text := faults(err); text != "" {
		return text
	}
	if message := opi.Message(err); message != "" {
		return message
	}
	switch {
	case errors.Is(err, opi.ErrNotFound):
		return "not found: this platform has nothing of that guid"
	case errors.Is(err, opi.ErrUnavailable):
		return "the platform can't " + doing + " at present; it may be able to later"
	}
	return "the platform can't " + doing + "; its operators find the reason in the log"
}

// logReason returns the text of an error for the log.
func logReason(err error) string {
	if text := faults(err); text != "" {
		return text
	}
	return err.Error()
}

// faults describes what is wrong with the request itself; "" if nothing is.
func faults(err error) string {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fmt.Sprintf("body: has more than %d bytes", tooLarge.Limit)
	}
	var unreadable *malformedError
	if errors.As(err, &unreadable) {
		return unreadable.Error()
	}
	return describe(fieldErrors(err))
}

// fieldErrors finds the fields that are wrong, also below what the back end has
// wrapped around them.
func fieldErrors(err error) []*opi.FieldError {
	var fields []*opi.FieldError
	for err != nil {
		if fields = opi.FieldErrors(err); len(fields) > 0 {
			return fields
		}
		err = errors.Unwrap(err)
	}
	return nil
}

func describe(fields []*opi.FieldError) string { return strings.Join(wireNames.Describe(fields), "; ") }

// rename gives the fields that err is about the sender's names; how grave it is stays
// as it was.
func rename(n opi.FieldNames, err error) error {
	var unreadable *malformedError
	if errors.As(err, &unreadable) {
		return err // the wire's own names
	}
	fields := fieldErrors(err)
	if len(fields) == 0 {
		return err
	}
	return n.Rename(fields)
}

// wireNames are the fields of requests about LRPs.
var wireNames = opi.FieldNames{
	{regexp.MustCompile(`^(app|space|organization)\.(guid|name)$`), "${1}_${2}"},
	{regexp.MustCompile(`^limits\.memory$`), "memory_mb"},
	{regexp.MustCompile(`^limits\.disk$`), "disk_mb"},
	{regexp.MustCompile(`^limits\.cpuWeight$`), "cpu_weight"},
	{regexp.MustCompile(`^checks\.startTimeout$`), "start_timeout_ms"},
	{regexp.MustCompile(`^checks\.\w+\.path$`), "health_check_http_endpoint"},
	{regexp.MustCompile(`^checks\.\w+\.port$`), "ports[0]"},
	{regexp.MustCompile(`^checks\.\w+\.kind$`), "health_check_type"},
	{regexp.MustCompile(`^routes\.http(\[\d+\])\.routeServiceURL$`), "routes.cf-router${1}.route_service_url"},
	{regexp.MustCompile(`^routes\.http(\[|$)`), "routes.cf-router${1}"},
	{regexp.MustCompile(`^routes\.internal(\[|$)`), "routes.internal-router${1}"},
	{regexp.MustCompile(`^routes\.tcp(\[\d+\])\.externalPort$`), "routes.tcp-router${1}.external_port"},
	{regexp.MustCompile(`^routes\.tcp(\[\d+\])\.port$`), "routes.tcp-router${1}.container_port"},
	{regexp.MustCompile(`^routes\.tcp(\[|$)`), "routes.tcp-router${1}"},
	{regexp.MustCompile(`^volumes(\[\d+\])\.id$`), "volume_mounts${1}.volume_id"},
	{regexp.MustCompile(`^volumes(\[\d+\])\.directory$`), "volume_mounts${1}.mount_dir"},
	{regexp.MustCompile(`^egressRules(\[\d+\])\.icmp$`), "egress_rules${1}.icmpInfo"},
	{regexp.MustCompile(`^egressRules(\[\d+\])`), "egress_rules${1}"},
	{regexp.MustCompile(`^placementTags(\[\d+\])`), "placement_tags${1}"},
	{regexp.MustCompile(`^userAnnotations`), "user_defined_annotations"},
	{regexp.MustCompile(`^rootFS$`), "lifecycle"},
	{regexp.MustCompile(`^rootFS\.image\.reference$`), "lifecycle.docker_lifecycle.image"},
	{regexp.MustCompile(`^rootFS\.image\.credentials$`), "lifecycle.docker_lifecycle.registry_username"},
	{regexp.MustCompile(`^rootFS\.image$`), "lifecycle.docker_lifecycle.image"},
	{regexp.MustCompile(`^droplet\.guid$`), "lifecycle.buildpack_lifecycle.droplet_guid"},
	{regexp.MustCompile(`^droplet\.checksum$`), "lifecycle.buildpack_lifecycle.droplet_hash"},
	{regexp.MustCompile(`^droplet$`), "lifecycle.buildpack_lifecycle"},
	{regexp.MustCompile(`^processes\[0\]\.command`), "lifecycle.command"},
	{regexp.MustCompile(`^annotation$`), "last_updated"},
}
