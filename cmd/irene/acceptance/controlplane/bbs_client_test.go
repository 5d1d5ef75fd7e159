//go:build controlplane

package controlplane_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/loopback"
)

// diego calls a BBS door. Routes of Diego's own client are called with it, by the program
// fixtures/diegoclient; those that Cloud Controller alone calls are posted as it does.
type diego struct{ url string }

// routesOfClient are those that Diego's client calls.
var routesOfClient = map[string]bool{
	"/v1/ping": true, "/v1/domains/list": true, "/v1/domains/upsert": true, "/v1/cells/list.r1": true,
	"/v1/desired_lrp/desire.r2": true, "/v1/desired_lrp/update": true, "/v1/desired_lrp/remove": true,
	"/v1/desired_lrps/get_by_process_guid.r3": true, "/v1/desired_lrps/list.r3": true,
	"/v1/desired_lrp_scheduling_infos/list": true,
	"/v1/actual_lrps/list":                  true, "/v1/actual_lrps/list_by_process_guids": true, "/v1/actual_lrps/retire": true,
	"/v1/tasks/desire.r2": true, "/v1/tasks/get_by_task_guid.r3": true, "/v1/tasks/list.r3": true, "/v1/tasks/cancel": true,
}

// call wants an answer of the door. A lifecycle success is an empty message.
func (d diego) call(ctx context.Context, route string, request, answer proto.Message) {
	GinkgoHelper()
	d.callAs(ctx, cloudcontroller.NewGUID(), route, request, answer)
}

// callAs is call with the id of a request.
func (d diego) callAs(ctx context.Context, id, route string, request, answer proto.Message) {
	GinkgoHelper()
	body, err := proto.Marshal(request)
	Expect(err).NotTo(HaveOccurred())
	content := body
	if routesOfClient[route] {
		content, err = d.client().call(ctx, id, route, body)
		Expect(err).NotTo(HaveOccurred(), route)
	} else {
		content = d.post(ctx, id, route, body)
	}
	Expect(proto.Unmarshal(content, answer)).To(Succeed())
}

// post sends a body as it is and returns that of the answer.
func (d diego) post(ctx context.Context, id, route string, body []byte) []byte {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+route, bytes.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("X-Vcap-Request-Id", id)
	response, err := bbsCertificates.http.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(response.StatusCode).To(Equal(http.StatusOK), string(content))
	Expect(response.Header.Get("Content-Type")).To(Equal("application/x-protobuf"))
	return content
}

// bbsIdentities are the certificates of BBS doors and of their only client.
type bbsIdentities struct {
	authority, doorCertificate, doorKey, clientCertificate, clientKey string
	// http shows the client's certificate.
	http *http.Client
}

// bbsCertificates are used by all specs of the process.
var bbsCertificates bbsIdentities

// bbsClientName is the client's, as in cf-deployment.
const bbsClientName = "cloud-controller-ng.service.cf.internal"

func newBBSIdentities(dir string) bbsIdentities {
	GinkgoHelper()
	authority := newSigner(dir, "bbs-authority")
	all := bbsIdentities{authority: authority.file}
	end := time.Now().AddDate(0, 1, 0)
	all.doorCertificate, all.doorKey = authority.signs("bbs", ecKey(), end)
	all.clientCertificate, all.clientKey = authority.signs(bbsClientName, ecKey(), end)
	client, err := tls.LoadX509KeyPair(all.clientCertificate, all.clientKey)
	Expect(err).NotTo(HaveOccurred())
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{Certificates: []tls.Certificate{client}, RootCAs: roots}
	all.http = &http.Client{Transport: transport}
	return all
}

// bbsDoor returns the configuration of a BBS door that wants the client's certificate.
func bbsDoor() map[string]any {
	return map[string]any{"listen": map[string]any{
		"address": loopback.Address(),
		"tls": map[string]any{
			"certificate_file": bbsCertificates.doorCertificate, "key_file": bbsCertificates.doorKey,
			"client_ca_file": bbsCertificates.authority, "client_names": []string{bbsClientName},
		},
	}}
}

// diegoClient is a running fixtures/diegoclient.
type diegoClient struct{ *rpc.Client }

// diegoClients are those of the present spec by the door's URL.
var diegoClients struct {
	sync.Mutex
	byURL map[string]diegoClient
}

// client returns the spec's client of the door, which it starts for the first call. The
// program ends with the spec, or with the suite when that is killed.
func (d diego) client() diegoClient {
	GinkgoHelper()
	diegoClients.Lock()
	defer diegoClients.Unlock()
	if running, found := diegoClients.byURL[d.url]; found {
		return running
	}
	binary := filepath.Join(binaries, "diegoclient")
	_, err := os.Stat(binary)
	Expect(err).NotTo(HaveOccurred(), "run: make diegoclient")
	arguments := []string{"--url", d.url}
	if strings.HasPrefix(d.url, "https:") {
		arguments = append(arguments, "--ca", bbsCertificates.authority, "--cert", bbsCertificates.clientCertificate, "--key", bbsCertificates.clientKey)
	}
	command := exec.Command(binary, arguments...)
	command.Stderr = GinkgoWriter
	in, err := command.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	out, err := command.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(command.Start()).To(Succeed())
	running := diegoClient{jsonrpc.NewClient(programPipes{Reader: out, WriteCloser: in})}
	if diegoClients.byURL == nil {
		diegoClients.byURL = map[string]diegoClient{}
	}
	diegoClients.byURL[d.url] = running
	DeferCleanup(func() error {
		diegoClients.Lock()
		defer diegoClients.Unlock()
		delete(diegoClients.byURL, d.url)
		return errors.Join(running.Close(), command.Wait())
	})
	return running
}

// programPipes are a program's output and input. Closing them closes its input, on which the
// program ends.
type programPipes struct {
	io.Reader
	io.WriteCloser
}

// call returns the answer's message. Its error is that of Diego's client.
func (c diegoClient) call(ctx context.Context, id, route string, message []byte) ([]byte, error) {
	request := map[string]any{"route": route, "trace_id": id, "encoded": message}
	var reply struct {
		Encoded []byte `json:"encoded"`
	}
	done := c.Go("Diego.Call", request, &reply, make(chan *rpc.Call, 1)).Done
	select {
	case ended := <-done:
		return reply.Encoded, ended.Error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
