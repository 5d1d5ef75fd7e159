package api

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// egressRules are the rules of an app's security groups. They are read one by one,
// because one that can't be read must not cost the app.
type egressRules struct {
	// rules holds an empty rule in the place of one that can't be read.
	rules      []egressRule
	unreadable []error
}

// egressRule is a security group rule in proto3's JSON, which leaves zeros out.
type egressRule struct {
	Protocol     string     `json:"protocol"`
	Destinations []string   `json:"destinations,omitempty"`
	Ports        []int32    `json:"ports,omitempty"`
	PortRange    *portRange `json:"portRange,omitempty"`
	ICMPInfo     *icmpInfo  `json:"icmpInfo,omitempty"`
	Log          bool       `json:"log,omitempty"`
	Annotations  []string   `json:"annotations,omitempty"`
}

type portRange struct {
	Start int32 `json:"start"`
	End   int32 `json:"end"`
}

type icmpInfo struct {
	Type int32 `json:"type"`
	Code int32 `json:"code"`
}

// UnmarshalJSON notes what it can't read in unreadable and returns no error.
func (r *egressRules) UnmarshalJSON(text []byte) error {
	*r = egressRules{}
	var elements []json.RawMessage
	if err := json.Unmarshal(text, &elements); err != nil {
		r.unreadable = []error{unreadableField("egress_rules", err)}
		return nil
	}
	r.rules = make([]egressRule, len(elements))
	for i, element := range elements {
		if err := json.Unmarshal(element, &r.rules[i]); err != nil {
			r.rules[i] = egressRule{}
			part, reason := whyUnreadable(err)
			r.unreadable = append(r.unreadable, opi.Invalid(fmt.Sprintf("egress_rules[%d]", i), "%s", strings.TrimLeft(part+" "+reason, " ")))
		}
	}
	return nil
}

// MarshalJSON writes the rules as they were read.
func (r egressRules) MarshalJSON() ([]byte, error) { return json.Marshal(r.rules) }

// IsZero leaves a list without rules out of JSON.
func (r egressRules) IsZero() bool { return len(r.rules) == 0 }

// domain keeps every rule in its place, since errors name it.
func (r egressRules) domain() []opi.EgressRule {
	var rules []opi.EgressRule
	for _, rule := range r.rules {
		rules = append(rules, rule.domain())
	}
	return rules
}

func (r egressRule) domain() opi.EgressRule {
	rule := opi.EgressRule{
		Protocol:     strings.ToLower(r.Protocol),
		Destinations: r.Destinations,
		Ports:        r.Ports,
		Log:          r.Log,
		Annotations:  r.Annotations,
	}
	if r.PortRange != nil {
		rule.PortRange = &opi.PortRange{Start: r.PortRange.Start, End: r.PortRange.End}
	}
	if r.ICMPInfo != nil {
		rule.ICMP = &opi.ICMP{Type: r.ICMPInfo.Type, Code: r.ICMPInfo.Code}
	}
	return rule
}
