package main

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestRepositoriesOfThisMachinesMirrors(t *testing.T) {
	for name, test := range map[string]struct {
		list string
		want []string
	}{
		"bookworm with its companions, and others' repositories": {
			"Debian|bookworm|bookworm|main|http://mirror.example/debian/\n" +
				"Debian|bookworm|bookworm|contrib|http://mirror.example/debian/\n" +
				"Debian|bookworm-updates|stable-updates|main|http://mirror.example/debian/\n" +
				"Debian|bookworm-security|bookworm-security|main|http://mirror.example/debian-security/\n" +
				"Debian Backports|bookworm-backports|bookworm-backports|main|http://mirror.example/debian/\n" +
				"Docker|bookworm|bookworm|stable|https://other.example/\n" +
				"MariaDB|bookworm|bookworm|main|https://other.example/\n",
			[]string{
				"deb http://mirror.example/debian/ bookworm main",
				"deb http://mirror.example/debian/ bookworm-updates main",
				"deb http://mirror.example/debian-security/ bookworm-security main",
			},
		},
		"another release on the same mirror": {
			"Debian|trixie|trixie|main|http://mirror.example/debian/\nDebian|sid|sid|main|http://mirror.example/debian/\n",
			[]string{"deb http://mirror.example/debian/ bookworm main"},
		},
		"lists not fetched yet": {
			"$(ORIGIN)|$(CODENAME)|bookworm-security|main|http://mirror.example/debian-security/\n",
			[]string{"deb http://mirror.example/debian-security/ bookworm-security main"},
		},
		"none": {"Ubuntu|noble|noble|main|http://mirror.example/ubuntu/\n\nnonsense\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			for _, r := range parseRepositories(test.list) {
				lines = append(lines, r.line())
			}
			NewWithT(t).Expect(lines).To(Equal(test.want))
		})
	}
}

func TestProxiesOfThisMachinesApt(t *testing.T) {
	settings := "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://proxy.example:3142\";\n" +
		"Acquire::HTTP::Proxy::mirror.example \"DIRECT\";\nAcquire::https::Proxy \"\";\nAcquire::Retries \"3\";\n"
	NewWithT(t).Expect(parseProxies(settings)).To(Equal([]string{
		`Acquire::http::Proxy "http://proxy.example:3142";`,
		`Acquire::HTTP::Proxy::mirror.example "DIRECT";`,
	}))
}
