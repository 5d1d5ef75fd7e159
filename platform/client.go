package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/reload"
)

const (
	// connectTimeout bounds connecting and, once more, the TLS handshake.
	connectTimeout = 10 * time.Second
	// keepAlive is the interval of TCP probes, which end connections to vanished peers.
	keepAlive = 15 * time.Second
	// idleTimeout is how long a connection waits for its next request: less than the
	// 75 s after which nginx closes one.
	idleTimeout = 30 * time.Second
	// maxIdle connections are kept for each host.
	maxIdle = 64
	// bulkBuffer is the size of a connection's buffers for files of hundreds of megabytes.
	bulkBuffer = 64 << 10
)

// Options configure a Client.
type Options struct {
	// Peer names the service in metrics, such as "cloud_controller".
	Peer string
	// Files are read again when their content changes.
	Files Files
	// AnyCertificate accepts any certificate of the service, which may then be anybody's.
	AnyCertificate bool
	// Outbound restricts connections; nil means no restriction.
	Outbound *outbound.Rules
	// Proxies makes connections go through the proxies of the environment, or of Outbound
	// if that is set. Services inside the platform have no proxy in front of them.
	Proxies bool
	// Bulk suits large bodies, which arrive as they are stored, compressed or not: HTTP/2
	// where the server speaks it, larger buffers, and Expect: 100-continue.
	Bulk bool
	// HeaderTimeout bounds the time from the end of a request's body to the head of the
	// answer; 0 means no bound. Its error is net/http's.
	HeaderTimeout time.Duration
	// Stall bounds the time in which no byte of a body moves; 0 means no bound.
	Stall time.Duration
	// Answer bounds the time from the start of a request without a body to the head of the
	// answer, connecting included; 0 means no bound. The error wraps ErrStalled.
	Answer time.Duration
	// AnswerToBody bounds the time from the end of a request's body to the head of the
	// answer; 0 means no bound. The error wraps ErrStalled.
	AnswerToBody time.Duration
	// Metrics counts requests; nil means that they are not counted.
	Metrics *Metrics
	// Logger logs changes of files; nil means that they are not logged.
	Logger lager.Logger

	now func() time.Time
}

// Client sends requests to a service. It is safe for concurrent use.
type Client struct {
	options    Options
	transports *reload.Value[*http.Transport]
}

// New reads the files and returns a client that has not connected yet. Errors name the
// file and begin with what could not be read, such as "the client certificate: ".
func New(o Options) (*Client, error) {
	if o.now == nil {
		o.now = time.Now
	}
	if o.Logger == nil {
		o.Logger = lager.NewLogger("platform")
	}
	transports, err := reload.Load(reload.Source[*http.Transport]{
		Read: o.Files.read,
		Make: func(content [][]byte) (*http.Transport, error) {
			config, err := o.Files.config(content)
			if err != nil {
				return nil, err
			}
			config.InsecureSkipVerify = o.AnyCertificate
			transport := o.transport()
			transport.TLSClientConfig = config
			return transport, nil
		},
		Retire: (*http.Transport).CloseIdleConnections,
		Kind:   "certificates",
		Logger: o.Logger.Session("certificates"),
		Now:    o.now,
	})
	if err != nil {
		return nil, err
	}
	return &Client{options: o, transports: transports}, nil
}

// transport returns a transport without TLS settings.
func (o Options) transport() *http.Transport {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: o.HeaderTimeout,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       idleTimeout,
	}
	if o.Bulk {
		transport.ForceAttemptHTTP2, transport.DisableCompression = true, true
		transport.ExpectContinueTimeout = time.Second
		transport.ReadBufferSize, transport.WriteBufferSize = bulkBuffer, bulkBuffer
	}
	if o.Outbound != nil {
		transport = o.Outbound.Network(transport)
	}
	if !o.Proxies {
		transport.Proxy = nil
	}
	return transport
}

// CloseIdleConnections closes connections that carry no request.
func (c *Client) CloseIdleConnections() { c.transports.Current().CloseIdleConnections() }

// Do sends a request as the function Do does.
func (c *Client) Do(request *http.Request) (*http.Response, error) { return Do(c, request) }

// Do sends a request and returns the answer, also if that is a redirect: where it leads,
// neither password nor certificate belongs. A user and a password in the URL are sent as
// basic authentication.
func Do(transport http.RoundTripper, request *http.Request) (*http.Response, error) {
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	// net/http puts method and URL around an error.
	for wrapped, ok := errors.AsType[*url.Error](err); ok; wrapped, ok = errors.AsType[*url.Error](err) {
		err = wrapped.Err
	}
	return response, err
}

// RoundTrip implements http.RoundTripper.
func (c *Client) RoundTrip(request *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := c.watched(request)
	code := 0
	if err == nil {
		code = response.StatusCode
	}
	c.options.Metrics.request(c.options.Peer, code, time.Since(began))
	return response, err
}

// watched sends a request that ends when it stands still.
func (c *Client) watched(request *http.Request) (*http.Response, error) {
	network := c.transports.Current()
	o := c.options
	if o.Stall == 0 && o.Answer == 0 && o.AnswerToBody == 0 {
		return network.RoundTrip(request)
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	request = request.WithContext(ctx)
	head := &alarm{limit: o.Answer, cancel: cancel}
	if request.Body == nil || request.Body == http.NoBody {
		head.start()
	} else {
		head.limit = o.AnswerToBody
		watch := watchedRequest{stall: o.Stall, cancel: cancel, head: head}
		request.Body = watch.body(request.Body)
		if again := request.GetBody; again != nil {
			request.GetBody = watch.getBody(again)
		}
	}
	response, err := network.RoundTrip(request)
	head.end()
	if err != nil {
		err = stalled(ctx, err)
		cancel(nil)
		return nil, err
	}
	response.Body = &receivedBody{ReadCloser: response.Body, alarm: alarm{limit: o.Stall, cancel: cancel}, ctx: ctx}
	return response, nil
}

// ErrStalled is wrapped by the error of a request that was ended because it stood still.
var ErrStalled = errors.New("no byte moved")

// stalled returns the error of a request that an alarm has ended, otherwise err.
func stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrStalled) {
		return cause
	}
	return err
}

func stalledFor(limit time.Duration) error { return fmt.Errorf("%w for %s", ErrStalled, limit) }
