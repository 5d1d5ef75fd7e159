package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/irene-cf/irene/opi"
)

// readJSON reads a body that is exactly one JSON object. The content type is not
// looked at: Cloud Controller sends application/x-www-form-urlencoded.
func readJSON(r *http.Request, into any) error {
	content, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	if err != nil {
		// The connection broke. Nothing is known of the request, which may come again.
		return fmt.Errorf("%w: read the body: %w", opi.ErrUnavailable, err)
	}
	err = json.Unmarshal(content, into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return malformed(wrongType.Field, fmt.Sprintf("can't be a JSON %s", wrongType.Value))
	case errors.As(err, &wrongType):
		return malformed("body", fmt.Sprintf("must be a JSON object, is a JSON %s", wrongType.Value))
	default:
		return malformed("body", "is not JSON: "+err.Error())
	}
}

// unreadableField names the value that json.Unmarshal refused within a field. The
// field's text is part of a body that is JSON.
func unreadableField(field string, err error) error {
	part, reason := whyUnreadable(err)
	if part != "" {
		field += "." + part
	}
	return opi.Invalid(field, "%s", reason)
}

// whyUnreadable returns which part of a value json.Unmarshal refused, empty for all of it,
// and why.
func whyUnreadable(err error) (part, reason string) {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return wrongType.Field, "can't be a JSON " + wrongType.Value
	}
	return "", "is not JSON: " + err.Error()
}
