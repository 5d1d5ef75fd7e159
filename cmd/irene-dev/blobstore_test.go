package main

import (
	"bytes"
	"context"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
)

func TestBlobstoreServesTheStoredDroplet(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{folder: &folder{path: t.TempDir()}}
	g.Expect(chooseAddress(&c.state.BlobstoreAddress, "127.0.0.1:0")).To(Succeed())
	c.image = sampleImage{dropletGUID: "guid", dropletHash: "hash"}
	g.Expect(c.storeDroplet([]byte("a droplet"))).To(Succeed())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o, err := parseBlobstoreOptions(blobstoreOptions{c.state.BlobstoreAddress, c.at(dropletsName)}.arguments()[1:])
	g.Expect(err).NotTo(HaveOccurred())
	var log bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- blobstore(ctx, o, &log) }()
	get := func(guid string) func() (int, error) {
		return func() (int, error) {
			status, _, err := call(ctx, http.MethodGet, c.dropletURL(guid, "hash"), nil)
			return status, err
		}
	}
	g.Eventually(get("guid")).Should(Equal(http.StatusOK))
	_, answer, err := call(ctx, http.MethodGet, c.dropletURL("guid", "hash"), nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer).To(Equal("a droplet"))

	c.image.dropletGUID = "next"
	g.Expect(c.storeDroplet([]byte("a droplet"))).To(Succeed())
	g.Expect(get("next")()).To(Equal(http.StatusOK))
	g.Expect(get("guid")()).To(Equal(http.StatusNotFound), "the sample app was built again")

	cancel()
	g.Eventually(ended).Should(Receive(Not(HaveOccurred())))
	g.Expect(log.String()).To(ContainSubstring("method=GET path=/guid/hash"))
}
