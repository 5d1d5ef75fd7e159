//go:build node

package node_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/registryserver"
)

// secrets are texts that nobody but Irene may see: passwords, signatures and a key, as
// they stand in the request and in files, and as Base64 has them.
func (b *stagedBuild) secrets() []string {
	GinkgoHelper()
	plain := map[string]bool{b.home.works.Writer.Password: true, b.home.works.Reader.Password: true}
	key, err := os.ReadFile(b.home.key)
	Expect(err).NotTo(HaveOccurred())
	plain[strings.Split(string(key), "\n")[1]] = true // its first line of Base64
	// What an Authorization header has.
	encoded := map[string]bool{}
	for _, account := range []*registryserver.Account{b.home.works.Writer, b.home.works.Reader} {
		encoded[base64.StdEncoding.EncodeToString([]byte(account.Name+":"+account.Password))] = true
	}
	var addresses func(value any)
	addresses = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, member := range value {
				if password, is := member.(string); is && name == "registry_password" {
					plain[password] = true
				}
				addresses(member)
			}
		case []any:
			for _, element := range value {
				addresses(element)
			}
		case string:
			address, err := url.Parse(value)
			if err != nil || address.Host == "" {
				return
			}
			if password, has := address.User.Password(); has {
				plain[password] = true
				encoded[base64.StdEncoding.EncodeToString([]byte(address.User.Username()+":"+password))] = true
			}
			if signature := address.Query().Get("md5"); signature != "" {
				plain[signature] = true
			}
		}
	}
	content, err := json.Marshal(b.request)
	Expect(err).NotTo(HaveOccurred())
	var request any
	Expect(json.Unmarshal(content, &request)).To(Succeed())
	addresses(request)
	all := slices.Collect(maps.Keys(encoded))
	for secret := range plain {
		all = append(all, secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	return all
}

// keptItsSecrets wants none of them in what users, and those who may look at pods and
// logs, see.
func (b *stagedBuild) keptItsSecrets(ctx context.Context) {
	GinkgoHelper()
	job, err := b.job(ctx)
	Expect(err).NotTo(HaveOccurred())
	objects := map[string]any{"the Job": job}
	if b.Image == "" {
		b.keeps(b.logs(ctx), "the log")
		objects["the pod"] = b.pod(ctx)
	}
	events, err := node.client.CoreV1().Events(b.home.namespace).List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	objects["an Event"] = events.Items
	for what, object := range objects {
		text, err := json.Marshal(object)
		Expect(err).NotTo(HaveOccurred())
		b.keeps(string(text), what)
	}
	told, err := os.ReadFile(b.home.log.Name())
	Expect(err).NotTo(HaveOccurred())
	b.keeps(string(told), "irene's log")
	ended, _ := b.home.cloudController.Build(b.GUID)
	b.keeps(ended.ErrorMessage+string(ended.Result), "what Cloud Controller was told")
}

// keeps wants no secret in a text.
func (b *stagedBuild) keeps(text, what string) {
	GinkgoHelper()
	for _, secret := range b.secrets() {
		if at := strings.Index(text, secret); at >= 0 {
			Fail(what + " has a secret: …" + text[max(0, at-80):min(len(text), at+80)] + "…")
		}
	}
}
