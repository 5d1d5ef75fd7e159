package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/tasks"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

// BBS is the front door that speaks the API of Diego's BBS, which a Cloud Controller of today
// calls.
type BBS struct {
	// Listen is where Cloud Controller reaches it. The door is off while the address is empty.
	Listen Listen `json:"listen"`
	// AdoptOPI makes the apps that were desired by the OPI API this door's, too.
	AdoptOPI bool `json:"adopt_opi"`
}

func (b BBS) isOn() bool { return b.Listen.Address != "" }

func (b BBS) validate(wrong *faults, others ...string) {
	if !b.isOn() {
		return
	}
	b.Listen.validate(wrong, bbsListener)
	for _, other := range others {
		if isSameListener(b.Listen.Address, other) {
			wrong.add("bbs.listen.address", "must differ from listen.address and observe.address: each has a port of its own")
			return
		}
	}
}

// bbsListener is the key of the settings of the BBS door's listener.
const bbsListener = "bbs.listen"

// bbsFeature answers requests of the BBS API. It comes last, since it needs what serves them.
func (c Configuration) bbsFeature() feature {
	if !c.BBS.isOn() {
		return feature{}
	}
	return feature{
		certificates: map[string]string{"bbs.listen.tls.certificate_file": c.BBS.Listen.TLS.CertificateFile},
		authorities:  map[string]string{"bbs.listen.tls.client_ca_file": c.BBS.Listen.TLS.ClientCAFile},
		checks:       []area{examineBBSListener},
		assemble: func(a *assembly) error {
			a.bbs = door{
				Handler: bbs.NewHandler(bbs.Options{
					LRPs: acceptFirst{a.lrps}, Tasks: acceptTasks{a.tasks}, Builds: a.builds,
					Cells:    cells{nodes: a.view, stacks: c.Stacks.Names},
					Refusals: a.refusals, AdoptOPI: c.BBS.AdoptOPI, Logger: a.logger,
				}),
				fault:  bbs.WriteFault,
				listen: bbsListener,
			}
			return nil
		},
	}
}

// acceptFirst desires LRPs without waiting for their images: callers of this door wait for a
// few seconds only.
type acceptFirst struct{ *k8s.LRPs }

// Desire implements bbs.LRPs.
func (a acceptFirst) Desire(ctx context.Context, lrp opi.LRP) error { return a.Accept(ctx, lrp) }

// acceptTasks does for tasks what acceptFirst does for LRPs.
type acceptTasks struct{ *tasks.Tasks }

// Desire implements bbs.Tasks.
func (a acceptTasks) Desire(ctx context.Context, task opi.Task) error { return a.Accept(ctx, task) }

// listenBBS opens the door's listener; none while the door is off.
func listenBBS(config BBS, api door, requests *requestMetrics, logger lager.Logger) ([]listeningDoor, error) {
	if !config.isOn() {
		return nil, nil
	}
	listener, err := net.Listen("tcp", config.Listen.Address)
	if err != nil {
		return nil, fmt.Errorf("bbs.listen.address: %w", err)
	}
	if !config.Listen.Plaintext {
		certificates, err := loadCertificatesOf(bbsListener, config.Listen.TLS, logger, time.Now)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("certificates:\n%w", err), listener.Close())
		}
		listener = tls.NewListener(listener, certificates.tlsConfig())
	}
	return []listeningDoor{{name: "BBS", server: newAPIServer(config.Listen, api, requests, logger), listener: listener}}, nil
}

// examineBBSListener looks at the certificates of the BBS door, and at the one of its caller.
func examineBBSListener(_ context.Context, e examination) []finding {
	found := e.listener(bbsListener, "the BBS API", e.config.BBS.Listen)
	if e.config.BBS.Listen.Plaintext {
		return found
	}
	const check = "Cloud Controller's certificate for the BBS API"
	if e.bbsCallerCertificate == "" {
		return append(found, finding{Check: check, Verdict: verdictUnknown, Found: "not looked at: Cloud Controller has it (diego.bbs.cert_file)",
			Mend: "give it with --bbs-caller-certificate FILE"})
	}
	anyKey := func(*x509.Certificate) error { return nil }
	return append(found, e.caller(check, e.bbsCallerCertificate, bbsListener, e.config.BBS.Listen.TLS, anyKey))
}
