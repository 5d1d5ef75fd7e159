package main

import (
	"fmt"
	"net/url"
	"slices"

	"golang.org/x/net/http/httpproxy"

	"github.com/irene-cf/irene/outbound"
)

// Outbound restricts connections to servers that users choose.
type Outbound struct {
	// Allowed lists networks and hosts that are not public and may be connected to.
	Allowed []string `json:"allowed"`
	// Denied lists networks with public addresses that may not be connected to.
	Denied []string `json:"denied"`
}

func (o Outbound) validate(wrong *faults) {
	for _, entry := range o.Allowed {
		if err := outbound.CheckAllowed(entry); err != nil {
			wrong.add("outbound.allowed", "%q %v", entry, err)
		}
	}
	for _, entry := range o.Denied {
		if err := outbound.CheckDenied(entry); err != nil {
			wrong.add("outbound.denied", "%q %v", entry, err)
		}
	}
}

// outboundRules returns the rules of the configuration. The platform's own registry is
// always allowed, for docker images in it.
func outboundRules(config Configuration) (*outbound.Rules, error) {
	options := outbound.Options{Allowed: config.Outbound.Allowed, Denied: config.Outbound.Denied, Proxy: httpproxy.FromEnvironment()}
	for _, address := range []string{config.Registry.Address, config.Registry.PullAddress} {
		switch {
		case address == "":
		case config.Registry.PlainHTTP, isLoopback(address):
			options.Allowed = append(slices.Clip(options.Allowed), "http://"+address)
		default:
			options.Allowed = append(slices.Clip(options.Allowed), address)
		}
	}
	rules, err := outbound.New(options)
	if err != nil {
		return nil, fmt.Errorf("outbound: %w", err)
	}
	return rules, nil
}

// platformRules returns the rules for servers that Cloud Controller names. The host of
// cloud_controller.url is always allowed.
func platformRules(config Configuration) (*outbound.Rules, error) {
	if address, err := url.Parse(config.CloudController.URL); err == nil && address.Host != "" {
		config.Outbound.Allowed = append(slices.Clip(config.Outbound.Allowed), address.Host)
	}
	rules, err := outboundRules(config)
	if err != nil {
		return nil, err
	}
	return rules.ForPlatform(), nil
}
