package outbound_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/net/http/httpproxy"

	"github.com/irene-cf/irene/outbound"
)

func newRules(t *testing.T, o outbound.Options) *outbound.Rules {
	t.Helper()
	rules, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func refusal(err error) *outbound.RefusedError {
	refused, _ := errors.AsType[*outbound.RefusedError](err)
	return refused
}

func TestAddresses(t *testing.T) {
	g := NewWithT(t)
	rules := newRules(t, outbound.Options{Allowed: []string{"10.8.0.0/16", "2001:db8:1::/48"}, Denied: []string{"8.8.0.0/16", "2600:1::/32"}})
	for address, refused := range map[string][2]bool{ // by the usual rules, by those for the platform
		"1.1.1.1": {false, false}, "2606:4700::1111": {false, false}, "64:ff9b::101:101": {false, false},
		"127.0.0.1": {true, true}, "::1": {true, true}, "0.0.0.0": {true, true}, "::": {true, true},
		"169.254.169.254": {true, true}, "fe80::1%eth0": {true, true}, "fd00:ec2::254": {true, true}, "100.100.100.200": {true, true},
		"224.0.0.1": {true, true}, "ff02::1": {true, true}, "255.255.255.255": {true, true},
		"::ffff:127.0.0.1": {true, true}, "64:ff9b::a9fe:a9fe": {true, true}, "::ffff:10.0.0.1": {true, false},
		"10.0.0.1": {true, false}, "172.31.255.255": {true, false}, "192.168.1.1": {true, false}, "100.64.0.1": {true, false},
		"198.18.0.1": {true, false}, "fd12::1": {true, false}, "2001:db8::1": {true, false}, "2002:a00:1::": {true, false},
		"10.8.3.4": {false, false}, "::ffff:10.8.3.4": {false, false}, "2001:db8:1::7": {false, false},
		"8.8.8.8": {true, false}, "2600:1::1": {true, false},
	} {
		g.Expect(rules.Refuses(netip.MustParseAddr(address))).To(Equal(refused[0]), address)
		g.Expect(rules.ForPlatform().Refuses(netip.MustParseAddr(address))).To(Equal(refused[1]), address+" for the platform")
	}
}

func TestConnectionsAreCheckedByTheResolvedAddress(t *testing.T) {
	g := NewWithT(t)
	reached := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Host }))
	defer server.Close()
	address := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(address)
	g.Expect(err).NotTo(HaveOccurred())
	localhost := "localhost:" + port

	for _, rules := range []*outbound.Rules{newRules(t, outbound.Options{}), newRules(t, outbound.Options{}).ForPlatform()} {
		for _, to := range []string{address, localhost, "[::ffff:127.0.0.1]:" + port} {
			_, err = rules.DialContext(context.Background(), "tcp", to)
			g.Expect(refusal(err)).NotTo(BeNil(), to)
		}
	}
	g.Expect(err.Error()).To(ContainSubstring("outbound.allowed"))
	for allowed, to := range map[string]string{
		"127.0.0.0/8": address, "localhost": localhost, "LocalHost:" + port: localhost, "127.0.0.1": address,
	} {
		connection, err := newRules(t, outbound.Options{Allowed: []string{allowed}}).DialContext(context.Background(), "tcp", to)
		g.Expect(err).NotTo(HaveOccurred(), allowed)
		g.Expect(connection.Close()).To(Succeed())
	}
	_, err = newRules(t, outbound.Options{Allowed: []string{"localhost:1", "other:" + port}}).DialContext(context.Background(), "tcp", localhost)
	g.Expect(refusal(err)).NotTo(BeNil(), "the port counts")
	g.Expect(reached).To(BeEmpty())
}

func TestSchemes(t *testing.T) {
	g := NewWithT(t)
	for allowed, plain := range map[string]map[string]bool{
		"":                                {"registry.example": false, "127.0.0.1:5000": false, "localhost:5000": false, "10.0.0.1": false, "app.local": false},
		"127.0.0.0/8":                     {"127.0.0.1:5000": false},
		"http://127.0.0.0/8":              {"127.0.0.1:5000": true, "localhost:5000": true, "10.0.0.1": false, "registry.example": false},
		"http://registry.example:5000":    {"registry.example:5000": true, "REGISTRY.example.:5000": true, "registry.example": false, "a.registry.example:5000": false},
		"http://registry.example:80":      {"registry.example": true},
		"http://[2001:db8::1]:5000":       {"[2001:db8::1]:5000": true, "[2001:db8::2]:5000": false},
		"http://registry.example":         {"registry.example:5000": true, "registry.example": true},
		"registry.example, http://10/bad": nil,
	} {
		var entries []string
		if allowed != "" {
			entries = append(entries, allowed)
		}
		rules, err := outbound.New(outbound.Options{Allowed: entries})
		if plain == nil {
			g.Expect(err).To(MatchError(ContainSubstring("must be a network")))
			continue
		}
		g.Expect(err).NotTo(HaveOccurred(), allowed)
		for host, want := range plain {
			g.Expect(rules.PlainHTTP(host)).To(Equal(want), "%s with %q", host, allowed)
		}
	}
}

func TestRedirects(t *testing.T) {
	g := NewWithT(t)
	var reached []string
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached = append(reached, r.URL.Path) }))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+"/from-https", http.StatusFound)
	}))
	defer secure.Close()
	base := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}
	get := func(url string, allowed ...string) error {
		client := http.Client{Transport: newRules(t, outbound.Options{Allowed: allowed}).Transport(base)}
		response, err := client.Get(url)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	host := strings.TrimPrefix(plain.URL, "http://")
	g.Expect(refusal(get(plain.URL+"/direct", "127.0.0.0/8")).NoTLS()).To(BeTrue())
	g.Expect(refusal(get(secure.URL, "127.0.0.0/8", "http://"+host)).Redirect).To(BeTrue(), "not even to a host that is allowed")
	g.Expect(reached).To(BeEmpty())
	g.Expect(get(plain.URL+"/direct", "http://"+host)).To(Succeed())
	g.Expect(reached).To(Equal([]string{"/direct"}))
}

// A proxy may be anywhere; what it is asked for may not.
func TestProxies(t *testing.T) {
	g := NewWithT(t)
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.Host) }))
	defer proxy.Close()
	rules := newRules(t, outbound.Options{
		Allowed: []string{"http://registry.invalid", "http://localhost:7", "http://169.254.169.254"},
		Proxy:   &httpproxy.Config{HTTPProxy: proxy.URL, HTTPSProxy: proxy.URL},
	})
	client := http.Client{Transport: rules.Transport(&http.Transport{})}
	response, err := client.Get("http://registry.invalid/v2/")
	g.Expect(err).NotTo(HaveOccurred())
	_ = response.Body.Close()
	_, err = client.Get("https://10.0.0.1/v2/")
	g.Expect(refusal(err)).NotTo(BeNil())
	g.Expect(asked).To(Equal([]string{"registry.invalid"}))
}

func FuzzAllowed(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "http://registry:5000", "http://", "[::1]:80", "a b", "*.example", "::1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := outbound.New(outbound.Options{Allowed: []string{text}})
		if (err == nil) != (outbound.CheckAllowed(text) == nil) {
			t.Fatalf("%q: New and CheckAllowed differ", text)
		}
		if err == nil && !strings.HasPrefix(text, "http://") && rules.PlainHTTP(text) {
			t.Fatalf("%q allows plain HTTP", text)
		}
	})
}
