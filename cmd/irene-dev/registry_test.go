package main

import (
	"os"
	"testing"

	. "github.com/onsi/gomega"
)

func TestCredentialsAreMadeOnce(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{folder: &folder{path: t.TempDir()}}
	g.Expect(c.makeCredentials("one")).To(Succeed())
	password, err := os.ReadFile(c.passwordFile("one"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(password)).To(BeNumerically(">", 20))
	g.Expect(c.makeCredentials("one")).To(Succeed())
	g.Expect(os.ReadFile(c.passwordFile("one"))).To(Equal(password))
	g.Expect(os.ReadFile(c.usernameFile("one"))).To(BeEquivalentTo("one\n"))

	// A kill may leave an empty file.
	g.Expect(os.WriteFile(c.passwordFile("one"), nil, 0o600)).To(Succeed())
	g.Expect(c.makeCredentials("one")).To(Succeed())
	g.Expect(os.ReadFile(c.passwordFile("one"))).To(HaveLen(len(password)))
}

func TestContainerdIsToldOfTheRegistry(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{cluster: clusterReady{CertsD: t.TempDir()}, state: state{RegistryAddress: "10.1.2.3:5001"}}
	g.Expect(c.introduceRegistry()).To(Succeed())
	g.Expect(os.ReadFile(c.cluster.CertsD + "/10.1.2.3:5001/hosts.toml")).To(BeEquivalentTo(
		"server = \"http://10.1.2.3:5001\"\n\n[host.\"http://10.1.2.3:5001\"]\n  capabilities = [\"pull\", \"resolve\"]\n"))
}
