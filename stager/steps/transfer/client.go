package transfer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/stager/steps"
)

// Patience configures how long to wait and how long to go on trying.
type Patience struct {
	// Outage is how long after its first failure a transfer is tried again. It is for
	// servers of the platform, without which no build succeeds: they come back.
	Outage time.Duration
	// ShortOutage is the same for what a build can go without, and for servers that a user
	// named, whose address may be wrong.
	ShortOutage time.Duration
	// Downloads bounds how often a file is downloaded that turns out to have another
	// checksum.
	Downloads int
	// Pause is the first pause between attempts; each is twice the one before, up
	// to LongestPause, give or take half.
	Pause        time.Duration
	LongestPause time.Duration
	// Stall is how long a transfer may go without moving a byte, the wait for a
	// download's first included.
	Stall time.Duration
	// Answer is how long a server may take to answer an upload.
	Answer time.Duration
	// Poll is the pause between questions whether Cloud Controller is done.
	Poll time.Duration
}

// UsualPatience suits a staging, which has a quarter of an hour. The uploader itself
// waits five minutes for Cloud Controller.
func UsualPatience() Patience {
	return Patience{
		Outage:       5 * time.Minute,
		ShortOutage:  time.Minute,
		Downloads:    3,
		Pause:        500 * time.Millisecond,
		LongestPause: 20 * time.Second,
		Stall:        time.Minute,
		Answer:       6 * time.Minute,
		Poll:         time.Second,
	}
}

// Client moves files.
type Client struct {
	// mutual presents the client certificate; nil without one.
	mutual   *http.Client
	plain    *http.Client
	patience Patience
	log      *steps.UserLog
}

// NewClient makes a client that trusts the system's authorities and those of the
// files. It writes to the log when it goes on trying. Close it when it isn't needed any
// more.
func NewClient(files steps.TLSFiles, patience Patience, log *steps.UserLog) (*Client, error) {
	roots, err := authorities(files.Authorities)
	if err != nil {
		return nil, err
	}
	client := &Client{plain: newHTTPClient(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), patience: patience, log: log}
	if files.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
		if err != nil {
			return nil, fmt.Errorf("load the client certificate: %w", err)
		}
		client.mutual = newHTTPClient(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	return client, nil
}

// Restrict makes all connections by rules; nil means no restriction. Call it before the
// first transfer.
func (c *Client) Restrict(rules *outbound.Rules) {
	for _, client := range []*http.Client{c.plain, c.mutual} {
		if rules != nil && client != nil {
			client.Transport = rules.Network(client.Transport.(*http.Transport))
		}
	}
}

// presenting returns the client for a URL that the platform made: the one with the client
// certificate where there is one.
func (c *Client) presenting(u *url.URL) *http.Client {
	if c.mutual != nil && u.Scheme == "https" {
		return c.mutual
	}
	return c.plain
}

// Close closes idle connections.
func (c *Client) Close() {
	c.plain.CloseIdleConnections()
	if c.mutual != nil {
		c.mutual.CloseIdleConnections()
	}
}

func newHTTPClient(config *tls.Config) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	// Archives are compressed; as they are stored, so their checksums are.
	transport.DisableCompression = true
	// A larger buffer than the usual one for files of hundreds of megabytes.
	transport.ReadBufferSize, transport.WriteBufferSize = 64<<10, 64<<10
	return &http.Client{
		Transport: transport,
		// Redirects are followed by get, which decides anew which credentials to use.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func authorities(files []string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("load the system's certificate authorities: %w", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("load a certificate authority: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("load a certificate authority: %s holds no certificate in PEM", file)
		}
	}
	return pool, nil
}

var errStalled = errors.New("it stopped moving")
