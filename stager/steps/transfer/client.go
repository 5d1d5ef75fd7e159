package transfer

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/platform"
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
	mutual http.RoundTripper
	plain  http.RoundTripper
	// unverified accepts any certificate, and presents none.
	unverified http.RoundTripper
	patience   Patience
	log        *steps.UserLog
}

// peer names the servers in metrics, which no user of this package has.
const peer = "transfer"

// NewClient returns a client that trusts the system's authorities and those of the files,
// and connects by rules; nil means no restriction. It writes to the log when it goes on
// trying. Close it when it isn't needed any more.
func NewClient(files steps.TLSFiles, rules *outbound.Rules, patience Patience, log *steps.UserLog) (*Client, error) {
	options := platform.Options{
		Peer:     peer,
		Files:    platform.Files{Authorities: files.Authorities, System: true},
		Outbound: rules,
		Proxies:  true,
		Bulk:     true,
		Stall:    patience.Stall,
		Answer:   patience.Stall,
		// Once all is sent, the server gets its time to work on it.
		AnswerToBody: patience.Answer,
	}
	plain, err := platform.New(options)
	if err != nil {
		return nil, fmt.Errorf("load %w", err)
	}
	anyServer := options
	anyServer.AnyCertificate = true
	unverified, err := platform.New(anyServer)
	if err != nil {
		return nil, fmt.Errorf("load %w", err)
	}
	client := &Client{plain: plain, unverified: unverified, patience: patience, log: log}
	if files.Certificate != "" {
		options.Files.Certificate, options.Files.Key = files.Certificate, files.Key
		if client.mutual, err = platform.New(options); err != nil {
			return nil, fmt.Errorf("load %w", err)
		}
	}
	return client, nil
}

// presenting returns the transport for a URL that the platform made: the one with the
// client certificate where there is one.
func (c *Client) presenting(u *url.URL) http.RoundTripper {
	if c.mutual != nil && u.Scheme == "https" {
		return c.mutual
	}
	return c.plain
}

// Close closes idle connections.
func (c *Client) Close() {
	for _, transport := range []http.RoundTripper{c.plain, c.unverified, c.mutual} {
		if transport != nil {
			(&http.Client{Transport: transport}).CloseIdleConnections()
		}
	}
}
