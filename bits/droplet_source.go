package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/irene-cf/irene/opi"
)

const (
	// DefaultMaxDropletBytes bounds a droplet that is fetched.
	DefaultMaxDropletBytes = 4 << 30
	// DefaultSourceTimeout is how long a droplet source may take to answer, and how
	// long its bytes may stand still.
	DefaultSourceTimeout = 30 * time.Second
)

// HTTPSourceOptions is where droplets that the registry lacks are fetched from.
// Exactly one of URL and CloudController is set.
type HTTPSourceOptions struct {
	// URL is the address of a droplet, with these parts replaced: {droplet_guid},
	// {hash} (the checksum's value), {process_guid} (without version) and
	// {partition}, which is "ab/cd" for the droplet guid abcd…, as Cloud Controller
	// lays out blobstores. What an opi.Droplet has as its URL goes before.
	URL string
	// CloudController is the address of Cloud Controller's mTLS port, such as
	// https://cloud-controller.example:9023.
	CloudController string

	// CertificateFile and KeyFile, PEM, are shown to the host of URL or
	// CloudController, and to nobody that it redirects to. They are read for every
	// connection. Cloud Controller wants them.
	CertificateFile, KeyFile string
	// UsernameFile and PasswordFile are sent to the host of URL or CloudController
	// alone.
	UsernameFile, PasswordFile string
	// CAFile holds authorities in PEM form that are trusted beside the machine's.
	CAFile string
	// PlainHTTP allows addresses and redirects without TLS. The droplet's checksum
	// is verified anyway.
	PlainHTTP bool
	// MaxBytes is DefaultMaxDropletBytes when 0.
	MaxBytes int64
	// Timeout is DefaultSourceTimeout when 0.
	Timeout time.Duration

	firstBackoff time.Duration
}

// HTTPSource is a DropletSource. It may be used by many goroutines.
type HTTPSource struct {
	options HTTPSourceOptions
	// home is who is trusted with certificate and password.
	home *url.URL
	// trusted and stranger make requests to home and to everybody else.
	trusted, stranger http.RoundTripper
	credentials       fileCredentials
	backoff           time.Duration
}

// cloudControllerPath is Cloud Controller's internal download of droplets.
const cloudControllerPath = "/internal/v4/droplets/{process_guid}/{hash}/download"

// NewHTTPSource checks the options and reads the files that they name; it sends
// nothing.
func NewHTTPSource(o HTTPSourceOptions) (*HTTPSource, error) {
	if (o.URL == "") == (o.CloudController == "") {
		return nil, errors.New("droplet source: either a URL or Cloud Controller's address is needed")
	}
	if o.CloudController != "" {
		o.URL = strings.TrimSuffix(o.CloudController, "/") + cloudControllerPath
	}
	if err := checkTemplate(o); err != nil {
		return nil, fmt.Errorf("droplet source: %w", err)
	}
	s := &HTTPSource{options: o, backoff: o.firstBackoff, credentials: fileCredentials{o.UsernameFile, o.PasswordFile}}
	var err error
	if s.home, err = url.Parse(fill(o.URL, opi.Droplet{GUID: "guid", Checksum: opi.Checksum{Value: "hash"}}, "process")); err != nil {
		return nil, fmt.Errorf("droplet source: %w", err)
	}
	if s.backoff == 0 {
		s.backoff = firstBackoff
	}
	if o.Timeout == 0 {
		s.options.Timeout = DefaultSourceTimeout
	}
	if o.MaxBytes == 0 {
		s.options.MaxBytes = DefaultMaxDropletBytes
	}
	if _, err := newFileCredentials(o.UsernameFile, o.PasswordFile); err != nil {
		return nil, fmt.Errorf("droplet source: %w", err)
	}
	if s.trusted, s.stranger, err = sourceNetworks(s.options); err != nil {
		return nil, fmt.Errorf("droplet source: %w", err)
	}
	return s, nil
}

// checkTemplate finds the mistakes that would otherwise show with the first droplet.
func checkTemplate(o HTTPSourceOptions) error {
	known := map[string]bool{"droplet_guid": true, "hash": true, "process_guid": true, "partition": true}
	for rest := o.URL; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || !known[name] {
			return fmt.Errorf("{%s in its URL is none of {droplet_guid}, {hash}, {process_guid}, {partition}", after)
		}
		rest = tail
	}
	scheme, rest, found := strings.Cut(o.URL, "://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case !found || scheme != "https" && scheme != "http" || host == "":
		return errors.New("its URL does not begin with https://host/ or http://host/")
	case scheme == "http" && !o.PlainHTTP:
		return errors.New("its URL is plain HTTP, which is not allowed by the configuration")
	case strings.ContainsAny(host, "{}"):
		return errors.New("its URL's host can't depend on the droplet")
	case strings.Contains(host, "@"):
		return errors.New("its URL must not hold credentials; give them as files")
	}
	return nil
}

// fill replaces a template's parts. Guids and hashes need no escape in a path, but
// that is for those to say who made them.
func fill(template string, droplet opi.Droplet, processGUID string) string {
	partition := ""
	if len(droplet.GUID) >= 4 {
		partition = droplet.GUID[:2] + "/" + droplet.GUID[2:4]
	}
	return strings.NewReplacer(
		"{droplet_guid}", url.PathEscape(droplet.GUID),
		"{hash}", url.PathEscape(droplet.Checksum.Value),
		"{process_guid}", url.PathEscape(processGUID),
		"{partition}", partition,
	).Replace(template)
}

// Open implements DropletSource.
func (s *HTTPSource) Open(ctx context.Context, droplet opi.Droplet, processGUID string) (io.ReadCloser, error) {
	address := droplet.URL
	if address == "" {
		address = fill(s.options.URL, droplet, processGUID)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		// url.Parse quotes the address, which may be signed.
		return nil, fmt.Errorf("fetch droplet %s: %w: its address can't be read", droplet.Checksum.Value, opi.ErrRefused)
	}
	download := &download{
		ctx: ctx, source: s, address: parsed, total: -1,
		doing: fmt.Sprintf("fetch droplet %s from %s", droplet.Checksum.Value, parsed.Host),
	}
	if err := download.connect(); err != nil {
		return nil, err
	}
	return download, nil
}
