package bbs

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"code.cloudfoundry.org/bbs/models"
	"code.cloudfoundry.org/lager/v3"
	"github.com/julienschmidt/httprouter"

	"github.com/irene-cf/irene/opi"
)

// request is a pointer to a generated message, whose Unmarshal and Validate are Diego's.
type request[M any] interface {
	*M
	Unmarshal(body []byte) error
}

// nothing is the request of a route that needs none.
type nothing struct{}

// Unmarshal takes any body.
func (*nothing) Unmarshal([]byte) error { return nil }

// read adds a route that changes nothing. doing completes "the platform can't …".
func read[M any, R request[M]](f *front, path, doing string, handle func(context.Context, R, *answer) error) {
	f.post(path, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), f.patience)
		defer cancel()
		out := &answer{w: w, buffer: f.buffer()}
		defer func() { f.keep(out.buffer) }()
		var message M
		body, err := readBody(r.Body)
		if err == nil {
			err = f.parse(body, R(&message))
		}
		if err == nil {
			err = handle(ctx, &message, out)
		}
		if err != nil {
			f.logFailure(r, path, &message, err)
		}
		out.end(doing, err)
	})
}

// write adds a route whose success is the empty message. Requests that are equal while the
// first of them is in work are joined: Cloud Controller sends a request again that took too
// long, and then the first one is still running.
//
// The work goes on when the caller leaves, since the twins wait for it.
func write[M any, R request[M]](f *front, path, doing string, handle func(context.Context, R) error) {
	writeOrNote(f, path, doing, handle, func(R, error) {})
}

// writeOrNote is write with a function that is called once for a failure, whatever failed. Of a
// message that can't be parsed it gets the part that was.
func writeOrNote[M any, R request[M]](f *front, path, doing string, handle func(context.Context, R) error, failed func(R, error)) {
	f.write(path, doing, func(ctx context.Context, r *http.Request, body []byte) error {
		var message M
		err := f.parse(body, R(&message))
		if err == nil {
			err = handle(ctx, &message)
		}
		if err != nil {
			f.logFailure(r, path, &message, err)
			failed(&message, err)
		}
		return err
	})
}

// writeIdentified is write for work that must not be done twice: handle gets what identifies the
// request.
func writeIdentified[M any, R request[M]](f *front, path, doing string, handle func(ctx context.Context, message R, identity string) error) {
	f.write(path, doing, func(ctx context.Context, r *http.Request, body []byte) error {
		var message M
		err := f.parse(body, R(&message))
		if err == nil {
			err = handle(ctx, &message, identityOf(body, r.Header.Get(requestIDHeader)))
		}
		if err != nil {
			f.logFailure(r, path, &message, err)
		}
		return err
	})
}

// identityOf identifies a request that is sent again with the same body and id. Without an id
// no other request has the same identity.
func identityOf(body []byte, requestID string) string {
	sum := sha256.Sum256(body)
	identity := sha256.Sum256(append(sum[:], cmp.Or(requestID, rand.Text())...))
	return hex.EncodeToString(identity[:])
}

// write adds a route for a body that is not yet parsed.
func (f *front) write(path, doing string, do func(ctx context.Context, r *http.Request, body []byte) error) {
	f.post(path, func(w http.ResponseWriter, r *http.Request) {
		out := &answer{w: w}
		body, err := readBody(r.Body)
		if err != nil {
			f.logFailure(r, path, nil, err)
			out.end(doing, err)
			return
		}
		twin := fmt.Sprintf("%s %x %s", path, sha256.Sum256(body), r.Header.Get(requestIDHeader))
		_, err, _ = f.twins.Do(twin, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), f.patience)
			defer cancel()
			return nil, do(ctx, r, body)
		})
		out.end(doing, err)
	})
}

// requestIDHeader carries Cloud Controller's id of the request that its user made. A request
// that is sent again has the same one.
const requestIDHeader = "X-Vcap-Request-Id"

func (f *front) post(path string, handle http.HandlerFunc) {
	f.router.Handle(http.MethodPost, path, func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
		r.Pattern = path
		handle(w, r)
	})
}

// readBody reads a body, which the server bounds. The content type is not looked at.
func readBody(body io.Reader) ([]byte, error) {
	content, err := io.ReadAll(body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, models.NewError(models.Error_InvalidRequest, fmt.Sprintf("the request has more than %d bytes", tooLarge.Limit))
	case err != nil:
		// The connection broke. Nothing is known of the request, which may come again.
		return nil, fmt.Errorf("%w: read the body: %w", opi.ErrUnavailable, err)
	}
	return content, nil
}

// parse reads a message, and applies Diego's rules for it where there are any.
func (f *front) parse(body []byte, message interface{ Unmarshal(body []byte) error }) error {
	if err := f.bounds.check(body, reflect.TypeOf(message).Elem()); err != nil {
		return fmt.Errorf("%w: %w", models.ErrBadRequest, err)
	}
	if err := message.Unmarshal(body); err != nil {
		return fmt.Errorf("%w: %w", models.ErrBadRequest, err)
	}
	if names := leaveOutEmptyTags(message); len(names) > 0 {
		f.logger.Info("metric-tags-without-value-left-out", lager.Data{"names": names})
	}
	rules, ok := message.(models.Validator)
	if !ok {
		return nil
	}
	return validate(rules)
}

// validate applies Diego's rules. They panic on an action that contains an empty one
// (bbs/models v1.8.0: ParallelAction.Validate and others look into a nil member).
func validate(message models.Validator) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w: validate: %v", models.ErrBadRequest, reason)
		}
	}()
	if err := message.Validate(); err != nil {
		return models.NewError(models.Error_InvalidRequest, err.Error())
	}
	return nil
}

// logFailure logs why a request failed. The caller gets the text for people alone.
func (f *front) logFailure(r *http.Request, path string, message any, err error) {
	data := lager.Data{"route": path, "request_id": r.Header.Get(requestIDHeader)}
	switch named := message.(type) {
	case interface{ GetProcessGuid() string }:
		data["process_guid"] = named.GetProcessGuid()
	case interface{ GetDesiredLrp() *models.DesiredLRP }:
		data["process_guid"] = named.GetDesiredLrp().GetProcessGuid()
	case interface{ GetActualLrpKey() *models.ActualLRPKey }:
		data["process_guid"] = named.GetActualLrpKey().GetProcessGuid()
	case interface{ GetTaskGuid() string }:
		data["task_guid"] = named.GetTaskGuid()
	}
	if isRefused(err) || errors.Is(err, opi.ErrNotFound) || errors.Is(err, opi.ErrExists) {
		data["reason"] = err.Error()
		f.logger.Info("refused", data)
		return
	}
	f.logger.Error("failed", err, data)
}
