package outbound

import (
	"net/netip"
	"slices"
)

// refused lists addresses that are not public: the entries of IANA's special-purpose
// registries (RFC 6890) that are not globally reachable, and multicast.
var refused = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	// IPv6 outside 2000::/3, with NAT64 (64:ff9b::/96) judged by the IPv4 address in it.
	"::/3", "4000::/2", "8000::/1",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// refusedToPlatform lists addresses that are those of this machine, of its link or of a
// cloud's metadata service.
var refusedToPlatform = prefixes(
	"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
	"::/127", "fe80::/10", "ff00::/8",
	// Metadata services outside the link-local range: AWS by IPv6, Alibaba, Oracle.
	"fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32",
)

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(texts ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		parsed[i] = netip.MustParsePrefix(text)
	}
	return parsed
}

// plainAddress returns the address that a packet ends up at: without a zone, and the IPv4
// address in an IPv6 address that stands for one.
func plainAddress(address netip.Addr) netip.Addr {
	address = address.WithZone("").Unmap()
	if nat64.Contains(address) {
		last := address.As16()
		return netip.AddrFrom4([4]byte(last[12:]))
	}
	return address
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) })
}
