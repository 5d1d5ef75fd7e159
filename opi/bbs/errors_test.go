package bbs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

// Every route has field 1 for its error, so one type reads the errors of all.
func errorOf(g Gomega, answer *httptest.ResponseRecorder) *models.Error {
	var response models.DesiredLRPLifecycleResponse
	decode(g, answer, &response)
	return response.Error
}

// The requests of all routes that have a back end.
var requests = map[string]message{
	"/v1/desired_lrps/get_by_process_guid.r2": &models.DesiredLRPByProcessGuidRequest{ProcessGuid: processGUID},
	"/v1/desired_lrps/get_by_process_guid.r3": &models.DesiredLRPByProcessGuidRequest{ProcessGuid: processGUID},
	"/v1/desired_lrps/list.r2":                &models.DesiredLRPsRequest{},
	"/v1/desired_lrps/list.r3":                &models.DesiredLRPsRequest{},
	"/v1/desired_lrp_scheduling_infos/list":   &models.DesiredLRPsRequest{},
	"/v1/desired_lrp/update":                  &models.UpdateDesiredLRPRequest{ProcessGuid: processGUID},
	"/v1/desired_lrp/remove":                  &models.RemoveDesiredLRPRequest{ProcessGuid: processGUID},
	"/v1/actual_lrps/list":                    &models.ActualLRPsRequest{},
	"/v1/actual_lrps/list_by_process_guids":   &models.ActualLRPsByProcessGuidsRequest{ProcessGuids: []string{processGUID}},
	"/v1/actual_lrps/retire":                  &models.RetireActualLRPRequest{ActualLrpKey: &models.ActualLRPKey{ProcessGuid: processGUID, Domain: "cf-apps"}},
	"/v1/tasks/get_by_task_guid.r2":           &models.TaskByGuidRequest{TaskGuid: taskGUID},
	"/v1/tasks/get_by_task_guid.r3":           &models.TaskByGuidRequest{TaskGuid: taskGUID},
	"/v1/tasks/list.r2":                       &models.TasksRequest{},
	"/v1/tasks/list.r3":                       &models.TasksRequest{},
	"/v1/tasks/cancel":                        &models.TaskGuidRequest{TaskGuid: taskGUID},
}

func TestErrorsOfTheBackEnd(t *testing.T) {
	for name, each := range map[string]struct {
		err    error
		wanted *models.Error
	}{
		"not found": {fmt.Errorf("find: %w", opi.ErrNotFound), models.ErrResourceNotFound},
		"fields": {
			fmt.Errorf("change: %w", errors.Join(opi.Invalid("routes.http[1].hostname", "is not a host name"), opi.Invalid("limits.memory", "must be positive"))),
			models.NewError(models.Error_InvalidRequest, "routes.cf-router[1].hostnames: is not a host name; memory_mb: must be positive"),
		},
		"refused": {
			opi.WithMessage(fmt.Errorf("StatefulSet x at 10.0.0.1: %w", opi.ErrRefused), "there is no stack %q", "windows"),
			models.NewError(models.Error_InvalidRequest, `there is no stack "windows"`),
		},
		"refused without a text for people": {
			fmt.Errorf("StatefulSet x at 10.0.0.1: %w", opi.ErrRefused),
			models.NewError(models.Error_InvalidRequest, "the platform can't change the app; its operators find the reason in the log"),
		},
		"a fault": {
			errors.New("dial 10.0.0.1"),
			models.NewError(models.Error_UnknownError, "the platform can't change the app; its operators find the reason in the log"),
		},
		"a fault with a text for people": {
			opi.WithMessage(errors.New("dial 10.0.0.1"), "the registry is broken"),
			models.NewError(models.Error_UnknownError, "the registry is broken"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := newPlatform(dora())
			p.hold = func(context.Context) error { return each.err }
			body, err := (&models.UpdateDesiredLRPRequest{ProcessGuid: processGUID}).Marshal()
			g.Expect(err).NotTo(HaveOccurred())
			d := newDoor(p)
			g.Expect(errorOf(g, d.send("/v1/desired_lrp/update", body))).To(Equal(each.wanted))
			g.Expect(strings.Join(d.logger.LogMessages(), " ")).To(MatchRegexp(`(refused|failed)`))
		})
	}
}

func TestUnavailableIsAStatus(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	p.err = fmt.Errorf("dial 10.0.0.1: %w", opi.ErrUnavailable)
	d := newDoor(p)
	d.work.err = p.err
	for path, request := range requests {
		body, err := request.Marshal()
		g.Expect(err).NotTo(HaveOccurred())
		answer := d.send(path, body)
		g.Expect(answer.Code).To(Equal(http.StatusServiceUnavailable), path)
		g.Expect(answer.Body.String()).To(ContainSubstring("at present"), path)
		g.Expect(answer.Body.String()).NotTo(ContainSubstring("10.0.0.1"), path)
		g.Expect(answer.Header().Get("Content-Type")).To(HavePrefix("text/plain"), "Diego's client reads protobuf whatever the status")
	}
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	for path := range requests {
		g.Expect(errorOf(g, d.send(path, []byte("\x0a\xff")))).To(Equal(models.ErrBadRequest), path)
	}
	g.Expect(errorOf(g, d.send("/v1/domains/upsert", []byte("\x0a\xff")))).To(Equal(models.ErrBadRequest))
}

func TestRequestsThatAreInvalid(t *testing.T) {
	routes := func(kind, value string) *models.DesiredLRPUpdate {
		raw := jsonText(value)
		return &models.DesiredLRPUpdate{Routes: &models.Routes{kind: &raw}}
	}
	update := func(update *models.DesiredLRPUpdate) message {
		return &models.UpdateDesiredLRPRequest{ProcessGuid: processGUID, Update: update}
	}
	negative, image := &models.DesiredLRPUpdate{}, &models.DesiredLRPUpdate{}
	negative.SetInstances(-1)
	image.SetImageUsername("user")
	image.SetImagePassword("password")
	for name, each := range map[string]struct {
		path    string
		request message
		text    string
	}{
		"get no guid":        {"/v1/desired_lrps/get_by_process_guid.r2", &models.DesiredLRPByProcessGuidRequest{}, "Invalid field: process_guid"},
		"remove no guid":     {"/v1/desired_lrp/remove", &models.RemoveDesiredLRPRequest{}, "Invalid field: process_guid"},
		"negative instances": {"/v1/desired_lrp/update", update(negative), "Invalid field: instances"},
		"no list of routes":  {"/v1/desired_lrp/update", update(routes("cf-router", `{}`)), "routes.cf-router"},
		"no route":           {"/v1/desired_lrp/update", update(routes("cf-router", `[{"hostnames":["a.example.com"],"port":"x"}]`)), "routes.cf-router"},
		"no port":            {"/v1/desired_lrp/update", update(routes("cf-router", `[{"hostnames":["a.example.com"],"port":0}]`)), "routes.cf-router[0].port"},
		"no JSON":            {"/v1/desired_lrp/update", update(routes("some-router", `{`)), "routes.some-router"},
		"too many routes":    {"/v1/desired_lrp/update", update(routes("some-router", `"`+strings.Repeat("a", 128<<10)+`"`)), "Invalid field: routes"},
		"image":              {"/v1/desired_lrp/update", update(image), "update.image_username"},
		"no key":             {"/v1/actual_lrps/retire", &models.RetireActualLRPRequest{}, "Invalid field: actual_lrp_key"},
		"negative index":     {"/v1/actual_lrps/retire", &models.RetireActualLRPRequest{ActualLrpKey: &models.ActualLRPKey{ProcessGuid: "a", Index: -1, Domain: "d"}}, "Invalid field: index"},
		"no guids":           {"/v1/actual_lrps/list_by_process_guids", &models.ActualLRPsByProcessGuidsRequest{}, "process_guids must not be empty"},
		"get no task":        {"/v1/tasks/get_by_task_guid.r2", &models.TaskByGuidRequest{}, "Invalid field: task_guid"},
		"cancel no task":     {"/v1/tasks/cancel", &models.TaskGuidRequest{}, "Invalid field: task_guid"},
		"desire no task":     {"/v1/tasks/desire.r2", &models.DesireTaskRequest{TaskGuid: "a", Domain: "d"}, "Invalid field: task_definition"},
		"no domain":          {"/v1/domains/upsert", &models.UpsertDomainRequest{Ttl: 120}, "Invalid field: domain"},
		"long domain":        {"/v1/domains/upsert", &models.UpsertDomainRequest{Domain: strings.Repeat("a", 64)}, "Invalid field: domain"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := newPlatform(dora())
			body, err := each.request.Marshal()
			g.Expect(err).NotTo(HaveOccurred())
			fault := errorOf(g, newDoor(p).send(each.path, body))
			g.Expect(fault.GetType()).To(Equal(models.Error_InvalidRequest))
			g.Expect(fault.GetMessage()).To(ContainSubstring(each.text))
			g.Expect(p.writes).To(BeZero())
		})
	}
}

// Empty variables of two bytes would take twenty times as much memory, nested actions the stack.
func TestMessagesOfManyPartsAreNotParsed(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	many := bytes.Repeat([]byte("\x0a\x00"), 4<<20)
	g.Expect(errorOf(g, d.send("/v1/actual_lrps/list_by_process_guids", many))).To(Equal(models.ErrBadRequest))

	allocated := testing.AllocsPerRun(1, func() { d.send("/v1/actual_lrps/list_by_process_guids", many) })
	g.Expect(allocated).To(BeNumerically("<", 1000))
}

func TestBodiesThatAreTooLarge(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	request := httptest.NewRequest(http.MethodPost, "/v1/desired_lrp/remove", strings.NewReader(strings.Repeat("a", 100)))
	answer := httptest.NewRecorder()
	request.Body = http.MaxBytesReader(answer, request.Body, 10)
	d.ServeHTTP(answer, request)
	g.Expect(errorOf(g, answer)).To(Equal(models.NewError(models.Error_InvalidRequest, "the request has more than 10 bytes")))
}

func TestBodiesThatBreakOffChangeNothing(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	request := httptest.NewRequest(http.MethodPost, "/v1/desired_lrp/remove", iotest.ErrReader(errors.New("connection reset")))
	answer := httptest.NewRecorder()
	newDoor(p).ServeHTTP(answer, request)
	g.Expect(answer.Code).To(Equal(http.StatusServiceUnavailable))
	g.Expect(p.lrps).To(HaveLen(1))
}

func TestOtherPathsAndMethods(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	g.Expect(d.send("/v1/desired_lrp/unknown", nil).Code).To(Equal(http.StatusNotFound), "Diego's client falls back to older routes")
	answer := httptest.NewRecorder()
	d.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/v1/ping", nil))
	g.Expect(answer.Code).To(Equal(http.StatusMethodNotAllowed))
}

func TestRequestsAreNamedByTheirRoute(t *testing.T) {
	g := NewWithT(t)
	request := httptest.NewRequest(http.MethodPost, "/v1/desired_lrp/remove", nil)
	newDoor(newPlatform()).ServeHTTP(httptest.NewRecorder(), request)
	g.Expect(request.Pattern).To(Equal("/v1/desired_lrp/remove"))
}

func TestRequestsEndInTime(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	p.hold = func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("patch: %w", ctx.Err())
	}
	d := newDoor(p, func(o *bbs.Options) { o.Patience = time.Millisecond })
	g.Expect(d.send("/v1/desired_lrp/remove", example(g, "11-remove")).Code).To(Equal(http.StatusServiceUnavailable))
}
