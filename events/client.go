package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/platform"
)

// Endpoints of Cloud Controller, as metrics name them. Those of reports about instances are
// named by [opi.ReportKind].
const (
	EndpointBuildCompleted = "build_completed"
	EndpointTaskCompleted  = "task_completed"
)

// DefaultRequestTimeout bounds one request to Cloud Controller. Telling it of a build
// may make it start the app before it answers, which takes it a minute and more.
const DefaultRequestTimeout = 5 * time.Minute

// maxAnswerBytes of a body are read; Cloud Controller's own are shorter.
const maxAnswerBytes = 64 << 10

// peer names Cloud Controller in metrics of package platform.
const peer = "cloud_controller"

// ClientOptions are what a client to Cloud Controller needs.
type ClientOptions struct {
	// CAFile has the authorities that sign Cloud Controller's certificate, in PEM;
	// empty means the system's.
	CAFile string
	// CertificateFile and KeyFile are the certificate that is presented, in PEM; both
	// or none. All files are read again when their content changes.
	CertificateFile string
	KeyFile         string
	// RequestTimeout bounds a request from connecting to the end of the answer.
	// 0 means DefaultRequestTimeout.
	RequestTimeout time.Duration
	// Outbound restricts connections; nil means no restriction. Cloud Controller's requests
	// name hosts, too.
	Outbound *outbound.Rules
	// Metrics counts requests by peer; nil means that only Registerer's metrics do.
	Metrics *platform.Metrics
	// Logger and Registerer are required.
	Logger     lager.Logger
	Registerer prometheus.Registerer
}

// CloudController is a client to Cloud Controller's internal endpoints. It may be used
// by several goroutines and owns none that outlives a call, but for idle connections.
type CloudController struct {
	timeout time.Duration
	client  *platform.Client
	metrics clientMetrics
}

// NewCloudController makes a client. Files that can't be used are an error.
func NewCloudController(options ClientOptions) (*CloudController, error) {
	if options.RequestTimeout < 0 {
		return nil, fmt.Errorf("make a client to Cloud Controller: the request timeout %s is negative", options.RequestTimeout)
	}
	if options.RequestTimeout == 0 {
		options.RequestTimeout = DefaultRequestTimeout
	}
	files := platform.Files{Certificate: options.CertificateFile, Key: options.KeyFile}
	if options.CAFile != "" {
		files.Authorities = []string{options.CAFile}
	}
	// Without proxies: Cloud Controller is inside the platform. A POST that got no answer is
	// not repeated, since it may have arrived.
	client, err := platform.New(platform.Options{
		Peer: peer, Files: files, Outbound: options.Outbound, Metrics: options.Metrics, Logger: options.Logger.Session("cloud-controller"),
	})
	if err != nil {
		return nil, fmt.Errorf("make a client to Cloud Controller: %w", err)
	}
	return &CloudController{timeout: options.RequestTimeout, client: client, metrics: newClientMetrics(options.Registerer)}, nil
}

// Post sends a JSON body to a URL, http or https, once. A user and password in the URL
// are sent as basic authentication. Redirects are not followed: where they lead,
// neither password nor certificate belongs.
//
// The error says why there was no answer, or that the URL is none; it names the host
// and never the rest of the URL. Whether the request arrived is unknown then.
func (c *CloudController) Post(ctx context.Context, endpoint, to string, body []byte) (Answer, error) {
	u, err := parseURL(to)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, ErrBadURL
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "irene")
	began := time.Now()
	answer, err := c.do(request)
	c.metrics.request(endpoint, answer.Status, time.Since(began))
	if err != nil {
		return Answer{}, fmt.Errorf("ask Cloud Controller at %s: %w", u.Host, c.explain(ctx, err))
	}
	return answer, nil
}

// Within is the same client with less time for a request; connections and metrics are
// shared.
func (c *CloudController) Within(timeout time.Duration) *CloudController {
	sooner := *c
	sooner.timeout = min(c.timeout, timeout)
	return &sooner
}

// Close closes connections that are not in use.
func (c *CloudController) Close() { c.client.CloseIdleConnections() }

// explain adds the time to an error of a request that took too long.
func (c *CloudController) explain(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", c.timeout, err)
	}
	return err
}

// ErrBadURL is about a URL that no request can be sent to.
var ErrBadURL = errors.New("the URL is not an http or https URL")

// parseURL never quotes the URL.
func parseURL(text string) (*url.URL, error) {
	u, err := opi.ParseHTTPURL(text)
	if err != nil {
		return nil, ErrBadURL
	}
	return u, nil
}

func (c *CloudController) do(request *http.Request) (Answer, error) {
	response, err := c.client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode}
	answer.RetryAfter, _ = platform.RetryAfter(response.Header, time.Now(), maxRetryAfter)
	// The status is the answer; a body that breaks off only costs the connection.
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err == nil {
		answer.ErrorCode = errorCode(text)
	}
	return answer, nil
}
