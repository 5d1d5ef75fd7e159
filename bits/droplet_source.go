package bits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/platform"
)

const (
	// DefaultMaxDropletBytes bounds a droplet that is fetched.
	DefaultMaxDropletBytes = 4 << 30
	// DefaultSourceTimeout is how long a droplet source may take to answer, and how
	// long its bytes may stand still.
	DefaultSourceTimeout = 30 * time.Second
)

// HTTPSourceOptions configures where droplets that the registry lacks are fetched from.
// Exactly one of URL, URLFile and CloudController is set.
type HTTPSourceOptions struct {
	// URL is the address of a droplet, with these parts replaced: {droplet_guid},
	// {hash} (the checksum's value), {process_guid} (without version) and
	// {partition}, which is "ab/cd" for the droplet guid abcd…, as Cloud Controller
	// lays out blobstores. If an opi.Droplet has a URL of its own, that is used instead.
	URL string
	// URLFile names a file whose first line is such a URL, which may hold credentials: a
	// user and a password, or a signature. It is read for every droplet.
	URLFile string
	// CloudController is the address of Cloud Controller's mTLS port, such as
	// https://cloud-controller.example:9023. It compares the checksum with the droplet's
	// SHA-256, or with the SHA-1 if the droplet is so old that it has no SHA-256
	// (contract/cloud-controller.md, Bits). Apps are desired with the SHA-1, so nearly
	// every droplet is answered with 404. It stays for configurations that have it.
	CloudController string

	// CertificateFile and KeyFile, PEM, are shown to the host of the URL, and to no host
	// that it redirects to. They are read again when their
	// content changes.
	CertificateFile, KeyFile string
	// UsernameFile and PasswordFile are sent, as basic authentication, to the host of
	// the URL alone. They are read for every request.
	UsernameFile, PasswordFile string
	// Outbound restricts connections to hosts other than that of the URL: those of
	// redirects and of droplets' own URLs; nil means no restriction.
	Outbound *outbound.Rules
	// CAFile holds authorities in PEM form that are trusted beside the machine's.
	CAFile string
	// PlainHTTP allows addresses and redirects without TLS. The droplet's checksum
	// is verified anyway.
	PlainHTTP bool
	// MaxBytes is DefaultMaxDropletBytes when 0.
	MaxBytes int64
	// Timeout is DefaultSourceTimeout when 0.
	Timeout time.Duration
	// Logger logs changes of CAFile, CertificateFile and KeyFile; nil means that they are
	// not logged.
	Logger lager.Logger
	// Metrics counts requests; nil means that they are not counted.
	Metrics *platform.Metrics

	firstBackoff time.Duration
}

// HTTPSource is a DropletSource. It may be used by many goroutines.
type HTTPSource struct {
	options HTTPSourceOptions
	// trusted and stranger make requests to the host of the URL and to all others.
	trusted, stranger http.RoundTripper
	credentials       fileCredentials
	backoff           platform.Backoff
}

// Address returns scheme and host of the configured URL.
func (s *HTTPSource) Address() (string, error) {
	template, err := s.template()
	if err != nil {
		return "", err
	}
	scheme, rest, _ := strings.Cut(template, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host[strings.LastIndex(host, "@")+1:], nil
}

// cloudControllerPath is Cloud Controller's internal download of droplets.
const cloudControllerPath = "/internal/v4/droplets/{process_guid}/{hash}/download"

// NewHTTPSource checks the options and reads the files that they name; it sends
// nothing.
func NewHTTPSource(o HTTPSourceOptions) (*HTTPSource, error) {
	if given := slices.DeleteFunc([]string{o.URL, o.URLFile, o.CloudController}, func(value string) bool { return value == "" }); len(given) != 1 {
		return nil, errors.New("droplet source: exactly one of a URL, a file with a URL and Cloud Controller's address is needed")
	}
	if o.CloudController != "" {
		o.URL = strings.TrimSuffix(o.CloudController, "/") + cloudControllerPath
	}
	s := &HTTPSource{options: o, credentials: fileCredentials{o.UsernameFile, o.PasswordFile}}
	if _, err := s.template(); err != nil {
		return nil, fmt.Errorf("droplet source: %w", err)
	}
	s.backoff = retryOptions(cmp.Or(o.firstBackoff, firstBackoff)).Backoff
	if o.Timeout == 0 {
		s.options.Timeout = DefaultSourceTimeout
	}
	if o.MaxBytes == 0 {
		s.options.MaxBytes = DefaultMaxDropletBytes
	}
	if _, err := newFileCredentials(o.UsernameFile, o.PasswordFile); err != nil {
		return nil, fmt.Errorf("droplet source: %w", err)
	}
	var err error
	if s.trusted, s.stranger, err = sourceNetworks(s.options); err != nil {
		return nil, fmt.Errorf("droplet source: %w", err)
	}
	return s, nil
}

// template returns the configured URL with its parts not yet replaced.
func (s *HTTPSource) template() (string, error) {
	if s.options.URLFile == "" {
		return s.options.URL, checkTemplate(s.options.URL, s.options)
	}
	text, err := credential.Read(s.options.URLFile)
	if err != nil {
		return "", fmt.Errorf("read the URL: %w", err)
	}
	return text, checkTemplate(text, s.options)
}

// checkTemplate finds the mistakes that would otherwise show with the first droplet. Its
// errors do not quote the URL, which may hold credentials.
func checkTemplate(template string, o HTTPSourceOptions) error {
	for rest := template; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || !slices.Contains([]string{"droplet_guid", "hash", "process_guid", "partition"}, name) {
			return errors.New("what its URL has in braces is none of {droplet_guid}, {hash}, {process_guid}, {partition}")
		}
		rest = tail
	}
	scheme, rest, found := strings.Cut(template, "://")
	host, _, _ := strings.Cut(rest, "/")
	_, err := url.Parse(fill(template, opi.Droplet{GUID: "guid", Checksum: opi.Checksum{Value: "hash"}}, "process"))
	switch {
	case !found || scheme != "https" && scheme != "http" || host == "" || strings.HasSuffix(host, "@"):
		return errors.New("its URL does not begin with https://host/ or http://host/")
	case scheme == "http" && !o.PlainHTTP:
		return errors.New("its URL is plain HTTP, which is not allowed by the configuration")
	case strings.ContainsAny(host, "{}"):
		return errors.New("its URL's host can't depend on the droplet")
	case strings.Contains(host, "@") && o.URLFile == "":
		return errors.New("its URL must not hold credentials; give them as files, or the whole URL as a file")
	case strings.Contains(host, "@") && o.UsernameFile != "":
		return errors.New("its URL holds credentials, although there is a user name file; choose one")
	case err != nil:
		return errors.New("its URL can't be read as one")
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
	template, err := s.template()
	if err != nil {
		return nil, fmt.Errorf("fetch droplet %s: %w: %w", droplet.Checksum.Value, opi.ErrUnavailable, err)
	}
	// The checks of template let only URLs pass that can be parsed.
	home, err := url.Parse(fill(template, droplet, processGUID))
	if err != nil {
		return nil, fmt.Errorf("fetch droplet %s: %w: its address can't be read", droplet.Checksum.Value, opi.ErrRefused)
	}
	address := home
	if droplet.URL != "" {
		if address, err = url.Parse(droplet.URL); err != nil {
			// url.Parse quotes the address, which may be signed.
			return nil, fmt.Errorf("fetch droplet %s: %w: its address can't be read", droplet.Checksum.Value, opi.ErrRefused)
		}
	}
	download := &download{
		ctx: ctx, source: s, home: home, address: address, total: -1,
		pauses: s.backoff.Pauses(), doing: fmt.Sprintf("fetch droplet %s from %s", droplet.Checksum.Value, address.Host),
	}
	if err := download.connect(); err != nil {
		return nil, err
	}
	return download, nil
}
