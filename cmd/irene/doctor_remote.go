package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

// tlsFiles are a client's side of TLS: the keys' names in the configuration begin with
// section.
type tlsFiles struct {
	section                   string
	ca, certificate, key      string
	systemAuthorities         bool
	whatIfRefused, whatIfAway string
}

// look looks at the files.
func (f tlsFiles) look(e examination) []finding {
	var found []finding
	if f.ca != "" {
		found = append(found, e.authorities(f.section+".ca_file", f.ca))
	}
	if f.certificate != "" {
		found = append(found, e.certificate(f.section+".certificate_file", f.certificate, f.key, x509.ExtKeyUsageClientAuth))
	}
	return found
}

// client returns an error if the files can't be used, which look reports.
func (f tlsFiles) client() (*platform.Client, error) {
	files := platform.Files{System: f.systemAuthorities, Certificate: f.certificate, Key: f.key}
	if f.ca != "" {
		files.Authorities = []string{f.ca}
	}
	return platform.New(platform.Options{Files: files, Proxies: true})
}

// most is how much of an answer is looked at.
const most = 4 << 10

// try asks a server for its front page, whatever the answer: what counts is that both
// sides accept each other.
func (f tlsFiles) try(ctx context.Context, e examination, address string) finding {
	parsed, err := opi.ParseHTTPURL(address)
	if err != nil {
		return failed(f.section, fmt.Errorf("%q is no address such as https://cloud-controller.example:9023", withoutSecrets(address)), "correct it")
	}
	check := f.section + " " + parsed.Scheme + "://" + parsed.Host
	transport, err := f.client()
	if err != nil {
		return finding{Check: check, Verdict: verdictUnknown, Found: "not tried, because of its certificates"}
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, parsed.Scheme+"://"+parsed.Host+"/", nil)
	if err != nil {
		return failed(check, err, "correct the address")
	}
	response, err := client.Do(request)
	if err != nil {
		return failed(check, lateAnswer(ctx, err), f.mend(err))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	_ = response.Body.Close() // read as far as wanted
	if err != nil {
		return failed(check, lateAnswer(ctx, err), f.mend(err))
	}
	switch {
	case response.StatusCode == http.StatusBadRequest && strings.Contains(string(body), "SSL certificate"):
		// nginx, which is in front of Cloud Controller, accepts the handshake first.
		return failed(check, errors.New("the server refuses irene's certificate, or wants one: "+strings.TrimSpace(titleOf(string(body)))), f.whatIfRefused)
	case response.TLS == nil:
		return finding{Check: check, Verdict: verdictWarning, Found: fmt.Sprintf("answers %d, without TLS", response.StatusCode), Mend: "use https outside of a trial"}
	}
	result := e.dated(check, response.TLS.PeerCertificates[0])
	result.Found = fmt.Sprintf("answers %d; its certificate: %s", response.StatusCode, result.Found)
	if result.Mend != "" {
		result.Mend = "renew the server's certificate"
	}
	return result
}

// mend tells what a failed request is about.
func (f tlsFiles) mend(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or correct the clock of this machine"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return f.section + ".ca_file must have the authority that signs the server's certificate"
	case errors.As(err, new(x509.HostnameError)):
		return "use a name that the server's certificate has, or make a certificate with this one"
	case strings.Contains(err.Error(), "remote error: tls: "):
		return f.whatIfRefused
	}
	return f.whatIfAway
}

func titleOf(page string) string {
	_, after, found := strings.Cut(page, "<title>")
	title, _, closed := strings.Cut(after, "</title>")
	if !found || !closed {
		return strings.SplitN(page, "\n", 2)[0]
	}
	return title
}

// examineCloudController looks at how outcomes are told.
func examineCloudController(ctx context.Context, e examination) []finding {
	settings := e.config.CloudController
	files := tlsFiles{
		section: "cloud_controller", ca: settings.CAFile, certificate: settings.CertificateFile, key: settings.KeyFile,
		whatIfRefused: "cloud_controller.certificate_file must be one that Cloud Controller's authority signed, for client authentication",
		whatIfAway:    "see that Cloud Controller runs and that this address can be reached from here; irene goes on telling outcomes until it can",
	}
	found := files.look(e)
	addresses := e.cloudController
	if settings.URL == "" {
		found = append(found, finding{Check: "cloud_controller.url", Verdict: verdictWarning,
			Found: "empty: Cloud Controller is not told why instances crash", Mend: "set it to Cloud Controller's internal address, such as https://cloud-controller.example:9023"})
	} else {
		addresses = append([]string{settings.URL}, addresses...)
	}
	for _, address := range addresses {
		found = append(found, files.try(ctx, e, address))
	}
	return found
}

// examineStaging looks at what builds are made with.
func examineStaging(_ context.Context, e examination) []finding {
	const check = "stager"
	settings := e.config.Staging
	if e.config.Registry.Address == "" || !settings.Enabled {
		return []finding{fine(check, "off: every build is refused")}
	}
	path, err := besideIrene(settings.ProgramFile, "irene-stage")
	if err == nil {
		_, err = bits.LoadStageProgram(path)
	}
	if err != nil {
		return []finding{failed("stager.program_file", err, "it must name the program irene-stage of this release")}
	}
	files := tlsFiles{section: check, ca: settings.CAFile, certificate: settings.CertificateFile, key: settings.KeyFile}
	found := append([]finding{fine("stager.program_file", "%s", path)}, files.look(e)...)
	if settings.CertificateFile == "" {
		found = append(found, finding{Check: "stager.certificate_file", Verdict: verdictWarning, Found: "empty: builds have no certificate for Cloud Controller's uploader, which wants one",
			Mend: "set stager.certificate_file and stager.key_file, unless the uploader takes plain requests"})
	}
	return found
}
