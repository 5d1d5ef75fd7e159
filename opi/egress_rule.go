package opi

import (
	"errors"
	"fmt"
	"slices"
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
	switch r.Protocol {
	case "tcp", "udp", "icmp", "icmpv6", "all":
	default:
		errs = append(errs, Invalid("protocol", "%q is not one of tcp, udp, icmp, icmpv6 or all", abbreviate(r.Protocol)))
	}
	if len(r.Destinations) == 0 {
		errs = append(errs, Invalid("destinations", "is missing"))
	}
	for i, destination := range r.Destinations {
		if !isDestination(destination) {
			errs = append(errs, invalidDestination(i, destination))
		}
	}
	if r.isICMP() && (len(r.Ports) > 0 || r.PortRange != nil) {
		errs = append(errs, Invalid("ports", "protocol %s has no ports", abbreviate(r.Protocol)))
	}
	for i, port := range r.Ports {
		errs = append(errs, validatePort(fmt.Sprintf("ports[%d]", i), port))
	}
	if r.PortRange != nil && (r.PortRange.Start < 1 || r.PortRange.End > maxPort || r.PortRange.Start > r.PortRange.End) {
		errs = append(errs, Invalid("portRange", "%d to %d is not a range of ports", r.PortRange.Start, r.PortRange.End))
	}
	if r.ICMP != nil && (r.ICMP.Type < -1 || r.ICMP.Type > 255 || r.ICMP.Code < -1 || r.ICMP.Code > 255) {
		errs = append(errs, Invalid("icmp", "type and code must be between -1 and 255"))
	}
	return errors.Join(errs...)
}

func (r EgressRule) isICMP() bool { return r.Protocol == "icmp" || r.Protocol == "icmpv6" }

// normalize returns the rule in a form that passes Validate, and an error that joins
// one *FieldError for each part that it left out. It makes no rule wider. ok is false
// if nothing is left of the rule.
func (r EgressRule) normalize() (rule EgressRule, ok bool, err error) {
	var omitted []error
	destinations := r.Destinations
	r.Destinations = nil
	for i, text := range destinations {
		valid, invalid := normalizeDestination(text)
		r.Destinations = append(r.Destinations, valid...)
		for _, part := range invalid {
			omitted = append(omitted, invalidDestination(i, part))
		}
	}
	if len(r.Destinations) == 0 && len(omitted) > 0 {
		return EgressRule{}, false, errors.Join(omitted...)
	}
	switch {
	case r.isICMP():
		r.Ports, r.PortRange = nil, nil
	case r.PortRange != nil:
		// No connection has port 0 or one beyond the last.
		r.PortRange = &PortRange{Start: max(r.PortRange.Start, 1), End: min(r.PortRange.End, maxPort)}
	}
	// A rule that lost all of its ports would allow every port: Validate refuses it.
	if ports := r.Ports; slices.ContainsFunc(ports, isPort) {
		r.Ports = nil
		for i, port := range ports {
			if isPort(port) {
				r.Ports = append(r.Ports, port)
			} else {
				omitted = append(omitted, validatePort(fmt.Sprintf("ports[%d]", i), port))
			}
		}
	}
	if err := r.Validate(); err != nil {
		return EgressRule{}, false, errors.Join(append(omitted, err)...)
	}
	return r, true, errors.Join(omitted...)
}

func invalidDestination(i int, text string) error {
	return Invalid(fmt.Sprintf("destinations[%d]", i), "%q is not an IP address, a CIDR or a range of addresses", abbreviate(text))
}
