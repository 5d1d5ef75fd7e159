package gitclone

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// multiACKServer stands before a git server and refuses clients without multi_ack, as
// Azure DevOps does. Like that, it does not offer multi_ack_detailed.
func multiACKServer(t *testing.T, behind string) *httptest.Server {
	t.Helper()
	g := NewWithT(t)
	target, err := url.Parse(behind)
	g.Expect(err).NotTo(HaveOccurred())
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(response *http.Response) error {
		if !strings.HasSuffix(response.Request.URL.Path, "/info/refs") {
			return nil
		}
		content, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		// Of the same length, since the line that it is in begins with its own.
		content = bytes.Replace(content, []byte(" multi_ack_detailed "), []byte(" x-other_capability "), 1)
		response.Body = io.NopCloser(bytes.NewReader(content))
		return nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			content, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Contains(content, []byte(" multi_ack ")) {
				http.Error(w, "TF401041: The Git protocol sent is not as expected (Clients must support multi-ack.).", http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(content))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestServersThatDemandMultiACK(t *testing.T) {
	g := NewWithT(t)
	folder, behind := gitServer(t, "")
	const name = "My Project/_git/bp"
	path := repository(t, folder, name, map[string]string{"bin/detect": "first"})
	first := runGit(t, path, "rev-parse", "HEAD")
	runGit(t, path, "tag", "--annotate", "--message=m", "v1")
	commit(t, path, map[string]string{"bin/detect": "second"})
	server := multiACKServer(t, behind.URL)
	address := server.URL + "/My%20Project/_git/bp"

	for fragment, want := range map[string]string{"": "second", "#main": "second", "#v1": "first", "#" + first: "first"} {
		cloned, err := clone(t, address+fragment)
		g.Expect(err).NotTo(HaveOccurred(), fragment)
		g.Expect(text(t, cloned, "bin/detect")).To(Equal(want), fragment)
	}
	runGit(t, path, "config", "uploadpack.allowReachableSHA1InWant", "false")
	cloned, err := clone(t, address+"#"+first)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text(t, cloned, "bin/detect")).To(Equal("first"))
}
