package opi

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// EgressRule allows connections from an instance to some destinations, as one
// rule of a Cloud Foundry security group does.
type EgressRule struct {
	// Protocol is tcp, udp, icmp, icmpv6 or all.
	Protocol string `json:"protocol"`
	// Destinations are IP addresses, CIDRs or ranges "first-last".
	Destinations []string `json:"destinations,omitempty"`
	// Ports are single ports; for tcp and udp either Ports or PortRange is given.
	Ports     []int32    `json:"ports,omitempty"`
	PortRange *PortRange `json:"portRange,omitempty"`
	// ICMP is given for icmp and icmpv6.
	ICMP *ICMP `json:"icmp,omitempty"`
	// Log asks for a log line for every connection.
	Log bool `json:"log,omitempty"`
	// Annotations name where the rule comes from ("security_group_id:…").
	Annotations []string `json:"annotations,omitempty"`
}

// PortRange is all ports from Start to End, both included.
type PortRange struct {
	Start int32 `json:"start"`
	End   int32 `json:"end"`
}

// ICMP is a type and a code; -1 stands for all.
type ICMP struct {
	Type int32 `json:"type"`
	Code int32 `json:"code"`
}

// Validate checks protocol, destinations and ports.
func (r EgressRule) Validate() error {
	var errs []error
	withPorts := false
	switch r.Protocol {
	case "tcp", "udp":
		withPorts = true
	case "icmp", "icmpv6", "all":
	default:
		errs = append(errs, Invalid("protocol", "%q is not one of tcp, udp, icmp, icmpv6 or all", abbreviate(r.Protocol)))
	}
	if len(r.Destinations) == 0 {
		errs = append(errs, Invalid("destinations", "is missing"))
	}
	for i, destination := range r.Destinations {
		if !isDestination(destination) {
			errs = append(errs, Invalid(fmt.Sprintf("destinations[%d]", i), "%q is not an IP address, a CIDR or a range of addresses", abbreviate(destination)))
		}
	}
	if !withPorts && r.Protocol != "all" && (len(r.Ports) > 0 || r.PortRange != nil) {
		errs = append(errs, Invalid("ports", "protocol %s has no ports", abbreviate(r.Protocol)))
	}
	for i, port := range r.Ports {
		errs = append(errs, validatePort(fmt.Sprintf("ports[%d]", i), port))
	}
	if r.PortRange != nil && (r.PortRange.Start < 1 || r.PortRange.End > 65535 || r.PortRange.Start > r.PortRange.End) {
		errs = append(errs, Invalid("portRange", "%d to %d is not a range of ports", r.PortRange.Start, r.PortRange.End))
	}
	if r.ICMP != nil && (r.ICMP.Type < -1 || r.ICMP.Type > 255 || r.ICMP.Code < -1 || r.ICMP.Code > 255) {
		errs = append(errs, Invalid("icmp", "type and code must be between -1 and 255"))
	}
	return errors.Join(errs...)
}

func isDestination(text string) bool {
	if first, last, isRange := strings.Cut(text, "-"); isRange {
		from, errFrom := netip.ParseAddr(first)
		to, errTo := netip.ParseAddr(last)
		return errFrom == nil && errTo == nil && from.BitLen() == to.BitLen() &&
			bytes.Compare(from.AsSlice(), to.AsSlice()) <= 0
	}
	if strings.Contains(text, "/") {
		_, err := netip.ParsePrefix(text)
		return err == nil
	}
	_, err := netip.ParseAddr(text)
	return err == nil
}
