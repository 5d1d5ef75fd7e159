package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/irene-cf/irene/k8s/render"
)

// Pods holds settings for the pods of apps, tasks and builds alike. A change counts for what is
// started from then on.
type Pods struct {
	// HostAliases are names that pods resolve without DNS.
	HostAliases []HostAlias `json:"host_aliases"`
	DNS         DNS         `json:"dns"`
}

// HostAlias is an entry of a pod's /etc/hosts.
type HostAlias struct {
	IP        string   `json:"ip"`
	Hostnames []string `json:"hostnames"`
}

// DNS configures how pods resolve names.
type DNS struct {
	Policy DNSPolicy `json:"policy"`
	// Nameservers, Searches and Options are added to those of the policy.
	Nameservers []string `json:"nameservers"`
	Searches    []string `json:"searches"`
	// Options have the form of resolv.conf, such as ndots:2.
	Options []string `json:"options"`
}

// DNSPolicy is one of Kubernetes' policies that make sense for pods without the node's network.
type DNSPolicy string

const (
	// DNSClusterFirst uses the cluster's DNS.
	DNSClusterFirst DNSPolicy = "ClusterFirst"
	// DNSDefault uses the node's DNS.
	DNSDefault DNSPolicy = "Default"
	// DNSNone uses the configured nameservers only.
	DNSNone DNSPolicy = "None"
)

// Limits of Kubernetes for a pod's resolver.
const (
	maxNameservers      = 3
	maxSearches         = 32
	maxSearchCharacters = 2048
)

func defaultPods() Pods {
	return Pods{
		HostAliases: []HostAlias{},
		DNS:         DNS{Policy: DNSClusterFirst, Nameservers: []string{}, Searches: []string{}, Options: []string{}},
	}
}

func (p Pods) validate(wrong *faults) {
	const key = "kubernetes.pods"
	entries := map[string]bool{}
	for i, alias := range p.HostAliases {
		entry := fmt.Sprintf("%s.host_aliases[%d]", key, i)
		wrong.ip(entry+".ip", alias.IP)
		if entries[alias.IP] {
			wrong.add(entry+".ip", "%s is in another entry, too; put all of its names into one", alias.IP)
		}
		entries[alias.IP] = true
		if len(alias.Hostnames) == 0 {
			wrong.add(entry+".hostnames", "is required")
		}
		for j, name := range alias.Hostnames {
			wrong.name(fmt.Sprintf("%s.hostnames[%d]", entry, j), name, validation.IsDNS1123Subdomain)
		}
	}
	p.DNS.validate(wrong, key+".dns")
}

func (d DNS) validate(wrong *faults, key string) {
	switch d.Policy {
	case DNSClusterFirst, DNSDefault:
	case DNSNone:
		if len(d.Nameservers) == 0 {
			wrong.add(key+".nameservers", "is required with %s.policy None", key)
		}
	default:
		wrong.add(key+".policy", "%q is none of %s, %s, %s", d.Policy, DNSClusterFirst, DNSDefault, DNSNone)
	}
	if len(d.Nameservers) > maxNameservers {
		wrong.add(key+".nameservers", "lists %d; a pod takes %d at most", len(d.Nameservers), maxNameservers)
	}
	for i, server := range d.Nameservers {
		wrong.ip(fmt.Sprintf("%s.nameservers[%d]", key, i), server)
	}
	if len(d.Searches) > maxSearches || len(strings.Join(d.Searches, " ")) > maxSearchCharacters {
		wrong.add(key+".searches", "is too long; a pod takes %d domains of %d characters together", maxSearches, maxSearchCharacters)
	}
	for i, domain := range d.Searches {
		wrong.name(fmt.Sprintf("%s.searches[%d]", key, i), strings.TrimSuffix(domain, "."), validation.IsDNS1123Subdomain)
	}
	for i, option := range d.Options {
		if name, _, _ := strings.Cut(option, ":"); name == "" || strings.ContainsAny(option, " \t\n") {
			wrong.add(fmt.Sprintf("%s.options[%d]", key, i), "%q is not an option of resolv.conf, such as ndots:2", option)
		}
	}
}

// ip checks that value is an IP address.
func (f *faults) ip(key, value string) {
	if address, err := netip.ParseAddr(value); err != nil || address.Zone() != "" {
		f.add(key, "%q is not an IP address", value)
	}
}

// names returns the settings in the form of a pod.
func (p Pods) names() render.NameResolution {
	var names render.NameResolution
	for _, alias := range p.HostAliases {
		names.HostAliases = append(names.HostAliases, corev1.HostAlias{IP: alias.IP, Hostnames: slices.Clone(alias.Hostnames)})
	}
	if p.DNS.Policy != DNSClusterFirst {
		names.Policy = corev1.DNSPolicy(p.DNS.Policy)
	}
	if len(p.DNS.Nameservers)+len(p.DNS.Searches)+len(p.DNS.Options) > 0 {
		names.Config = &corev1.PodDNSConfig{Nameservers: p.DNS.Nameservers, Searches: p.DNS.Searches}
		for _, option := range p.DNS.Options {
			name, value, hasValue := strings.Cut(option, ":")
			added := corev1.PodDNSConfigOption{Name: name}
			if hasValue {
				added.Value = &value
			}
			names.Config.Options = append(names.Config.Options, added)
		}
	}
	return names
}
