//go:build bench

package bench_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/loopback"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

const (
	syncRounds = 40
	// syncBound is how many times as long as writing the same bytes the list may take.
	syncBound = 2
	// heapBound is how much heap an LRP of the BBS door may have, by that of the OPI door.
	heapBound = 1.1
	syncList  = "/v1/desired_lrp_scheduling_infos/list"
)

// measureSync measures the list that Cloud Controller's sync gets by the BBS door every 30 s,
// against a handler that writes the same bytes over the same TLS, and the heap of LRPs by the
// door that they came by.
func (b *benchmark) measureSync(numbers []int) {
	certificates := steptest.NewPlatform(b.T)
	opi, bbs := b.original(), b.bbsOriginal()
	fmt.Printf("\nThe list for Cloud Controller's sync by the BBS door, over mutual TLS, one instance and one Secret each; %d rounds of each side in turn:\n\n"+
		"| LRPs | bytes | irene p50 | p99 | the same bytes p50 | p99 | irene / bytes (p50) | API-server calls | heap per LRP, OPI | BBS | BBS / OPI |\n|---|---|---|---|---|---|---|---|---|---|---|\n", syncRounds)
	for _, number := range numbers {
		empty := b.heapOf(bbs, 1)
		perOPI := (b.heapOf(opi, number) - empty) / float64(number)
		b.measureSyncAt(certificates, bbs, number, empty, perOPI)
	}
}

func (b *benchmark) measureSyncAt(certificates *steptest.Platform, from original, number int, empty, perOPI float64) {
	irene := b.startFed(from, number, map[string]any{"listen": map[string]any{"address": loopback.Address(), "tls": map[string]any{
		"certificate_file": certificates.File("server.pem"), "key_file": certificates.File("server.key"),
		"client_ca_file": certificates.File("ca.pem"), "client_names": []string{"client"},
	}}})
	defer func() { check(b.T, irene.Stop()) }()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: mutualTLS(b, certificates)}}
	request, err := proto.Marshal(&models.DesiredLRPsRequest{Domain: "cf-apps"})
	check(b.T, err)
	post := func(url string) []byte {
		answer, err := client.Post(url+syncList, "application/x-protobuf", bytes.NewReader(request))
		check(b.T, err)
		content, err := io.ReadAll(answer.Body)
		check(b.T, err)
		check(b.T, answer.Body.Close())
		if answer.StatusCode != http.StatusOK {
			b.Fatalf("list: %s: %s", answer.Status, content)
		}
		return content
	}
	list := post(irene.BBSURL)
	var infos models.DesiredLRPSchedulingInfosResponse
	check(b.T, proto.Unmarshal(list, &infos))
	if len(infos.DesiredLrpSchedulingInfos) != number {
		b.Fatalf("%d LRPs are listed of %d", len(infos.DesiredLrpSchedulingInfos), number)
	}
	plain := certificates.Serve(b.T, tls.RequireAndVerifyClientCert, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(list) // the client may have gone
	})
	post(plain.URL)

	before := b.apiCallsOf(irene)
	var ours, bare timings
	read := func(into *timings, url string) {
		began := time.Now()
		if size := len(post(url)); size != len(list) {
			b.Fatalf("the list has %d bytes, and had %d", size, len(list))
		}
		into.each = append(into.each, time.Since(began))
	}
	for round := range syncRounds {
		// The sides take turns in being first.
		if round%2 == 0 {
			read(&ours, irene.BBSURL)
			read(&bare, plain.URL)
		} else {
			read(&bare, plain.URL)
			read(&ours, irene.BBSURL)
		}
	}
	calls := b.apiCallsOf(irene) - before
	heap, _ := b.memory(irene)
	perBBS := (heap - empty) / float64(number)
	ratio := ours.percentile(50).Seconds() / bare.percentile(50).Seconds()
	fmt.Printf("| %d | %d | %s | %s | %s | %s | %.2f | %d | %.0f B | %.0f B | %.2f |\n", number, len(list), ours.percentile(50), ours.percentile(99),
		bare.percentile(50), bare.percentile(99), ratio, calls, perOPI, perBBS, perBBS/perOPI)
	if ratio > syncBound || calls != 0 || perBBS > heapBound*perOPI {
		b.Errorf("the list takes %.2f times as long as its bytes, of at most %d, %d calls to the API server, and LRPs %.2f times as much heap as those of the OPI door, of at most %.2f",
			ratio, syncBound, calls, perBBS/perOPI, heapBound)
	}
}

func mutualTLS(b *benchmark, certificates *steptest.Platform) *tls.Config {
	pair, err := tls.LoadX509KeyPair(certificates.File("client.pem"), certificates.File("client.key"))
	check(b.T, err)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: certificates.Pool, ServerName: "127.0.0.1"}
}

// startFed starts an irene on an API server that has so many copies of an LRP.
func (b *benchmark) startFed(from original, number int, bbs map[string]any) *ireneprocess.Process {
	server, _ := newFedAPIServer(b.T, from, number)
	options := b.options
	options.Kubeconfig = server.kubeconfig(b.T)
	options.Settings = maps.Clone(options.Settings)
	options.Settings["bbs"] = bbs
	irene, err := ireneprocess.Start(b.ctx, options)
	check(b.T, err)
	return irene
}

// heapOf returns the heap of an irene with so many copies of an LRP.
func (b *benchmark) heapOf(from original, number int) float64 {
	irene := b.startFed(from, number, map[string]any{"listen": map[string]any{"address": loopback.Address(), "plaintext": true}})
	defer func() { check(b.T, irene.Stop()) }()
	heap, _ := b.memory(irene)
	return heap
}

// bbsOriginal runs one LRP that was desired by the BBS door and takes what the real API server
// has of it.
func (b *benchmark) bbsOriginal() original {
	options := b.options
	options.Settings = maps.Clone(options.Settings)
	options.Settings["bbs"] = map[string]any{"listen": map[string]any{"address": loopback.Address(), "plaintext": true}}
	irene, err := ireneprocess.Start(b.ctx, options)
	check(b.T, err)
	defer func() { check(b.T, irene.Stop()) }()
	content, err := fixtures.BBS.ReadFile("bbs/bbs-04-desire-lrp-docker.pb")
	check(b.T, err)
	var request models.DesireLRPRequest
	check(b.T, proto.Unmarshal(content, &request))
	guid, lrp := cloudcontroller.NewGUID(), request.DesiredLrp
	lrp.ProcessGuid, lrp.Instances, lrp.MetricsGuid = guid+"-"+cloudcontroller.NewGUID(), 1, guid
	for _, tag := range []string{"app_id", "process_id", "source_id"} {
		lrp.MetricTags[tag] = &models.MetricTagValue{Static: guid}
	}
	post := func(route string, message, answer proto.Message) {
		body, err := proto.Marshal(message)
		check(b.T, err)
		response, err := http.Post(irene.BBSURL+route, "application/x-protobuf", bytes.NewReader(body))
		check(b.T, err)
		content, err := io.ReadAll(response.Body)
		check(b.T, err)
		check(b.T, response.Body.Close())
		check(b.T, proto.Unmarshal(content, answer))
	}
	var desired models.DesiredLRPLifecycleResponse
	post("/v1/desired_lrp/desire.r2", &request, &desired)
	if desired.Error != nil {
		b.Fatalf("desire: %s", desired.Error)
	}
	b.await(func() bool {
		var instances models.ActualLRPsResponse
		post("/v1/actual_lrps/list", &models.ActualLRPsRequest{ProcessGuid: lrp.ProcessGuid}, &instances)
		return len(instances.ActualLrps) == 1 && instances.ActualLrps[0].State == models.ActualLRPStateRunning
	})
	from := b.objectsOf(guid)
	var removed models.DesiredLRPLifecycleResponse
	post("/v1/desired_lrp/remove", &models.RemoveDesiredLRPRequest{ProcessGuid: lrp.ProcessGuid}, &removed)
	return from
}
