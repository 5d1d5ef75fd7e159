package kubelet_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/kubelet"
	"github.com/irene-cf/irene/opi"
)

const (
	users    = "org/app:1"
	fetch    = "the platform can't fetch the app's image at present"
	setUp    = "the platform can't set it up at present"
	registry = "registry.cf.example.com"
)

func TestPullFailures(t *testing.T) {
	const resolve = `rpc error: code = Unknown desc = failed to pull and unpack image "` + registry + `/a/b:1": failed to resolve reference "` + registry + `/a/b:1": `
	for message, cause := range map[string]string{
		resolve + registry + "/a/b:1: not found": "not found",
		"manifest unknown":                       "not found",
		`Back-off pulling image "` + registry + `/a/b:1": ErrImagePull: ` + resolve + "unexpected status from HEAD request to https://" + registry + "/v2/a/b/manifests/1: 401 Unauthorized":                    "401 Unauthorized",
		resolve + "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed":                                                        "access denied, or there is no such repository",
		resolve + "unexpected status from HEAD request to https://" + registry + "/v2/a/b/manifests/1: 500 Internal Server Error":                                                                               "500 Internal Server Error",
		resolve + `failed to do request: Head "https://` + registry + `/v2/a/b/manifests/1": dial tcp: lookup ` + registry + " on 10.96.0.10:53: no such host":                                                  "no such host",
		resolve + `failed to do request: Head "https://` + registry + `/v2/a/b/manifests/1": dial tcp 10.1.2.3:443: i/o timeout`:                                                                                "timeout",
		resolve + `failed to do request: Head "https://` + registry + `/v2/a/b/manifests/1": dial tcp 10.1.2.3:443: connect: connection refused`:                                                                "connection refused",
		resolve + `failed to do request: Head "https://` + registry + `/v2/a/b/manifests/1": tls: failed to verify certificate: x509: certificate signed by unknown authority`:                                  "its registry's certificate is not trusted",
		resolve + `failed to do request: Head "https://` + registry + `/v2/a/b/manifests/1": http: server gave HTTP response to HTTPS client`:                                                                   "its registry does not use HTTPS",
		resolve + `failed to copy: httpReadSeeker: failed open: unexpected status code https://` + registry + `/v2/a/b/manifests/sha256:12: 429 Too Many Requests - Server message: toomanyrequests: slow down`: "too many requests to its registry",
		`failed to pull and unpack image "` + registry + `/a/b:1": no match for platform in manifest: not found`:                                                                                                "it has no variant for the platform's processors",
		`Failed to apply default image tag "a//b": couldn't parse image name "a//b": invalid reference format`:                                                                                                  "it is not a reference to an image",
		`Container image "` + registry + `/a/b:1" is not present with pull policy of Never`:                                                                                                                     "it is not on the node, and the platform does not pull it",
		`Back-off pulling image "` + registry + `/a/b:1"`:   "",
		`Back-off pulling image "a/denied-403-eof:timeout"`: "",
		"unexpected status 499 Something of " + registry:    "",
		"": "",
	} {
		g := NewWithT(t)
		if cause == "" {
			g.Expect(kubelet.PullFailure(message, users)).To(Equal("the image org/app:1 can't be pulled"), message)
			g.Expect(kubelet.PullFailure(message, "")).To(Equal(fetch), message)
			continue
		}
		g.Expect(kubelet.PullFailure(message, users)).To(Equal("the image org/app:1 can't be pulled: "+cause), message)
		g.Expect(kubelet.PullFailure(message, "")).To(Equal(fetch+" ("+cause+")"), message)
	}
}

func TestStartFailures(t *testing.T) {
	const create = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: "
	for message, text := range map[string]string{
		create + `exec: "nothing": executable file not found in $PATH: unknown`:                                                                 `exec: "nothing": executable file not found in $PATH`,
		`exec: "/app": permission denied`:                                                                                                       `exec: "/app": permission denied`,
		create + `exec: "/a: b": stat /a: b: no such file or directory: unknown`:                                                                `exec: "/a: b": stat /a: b: no such file or directory`,
		create + `chdir to cwd ("/work") set in config.json failed: permission denied: unknown`:                                                 `the working directory "/work" can't be entered: permission denied`,
		`container has runAsNonRoot and image will run as root (pod: "app-0_cf-apps(1b1f)", container: opi)`:                                    opi.ImageRunsAsRoot,
		`container has runAsNonRoot and image has non-numeric user (node), cannot verify user is non-root (pod: "app-0(1b1f)", container: opi)`: "the image names its user instead of giving its number, and the platform could not look it up; give USER as a number",
		`failed to generate container "63d1" spec: failed to generate spec: no command specified`:                                               opi.ImageHasNoCommand,
		`failed to generate container "63d1" spec: failed to apply OCI options: failed to generate user string: no users found`:                 "the image's USER is not among its users",
		`failed to mkdir "/var/lib/kubelet/pods/1b1f": no space left on device`:                                                                 "no space left on device",
		`secret "app-1b1f" not found`:                        setUp,
		`couldn't find key env-0 in Secret cf-apps/app-1b1f`: setUp,
		`failed to reserve container name "opi_app-0_cf-apps_1b1f_0": name "opi_app-0_cf-apps_1b1f_0" is reserved for "63d1"`: setUp,
		`back-off 10s restarting failed container=opi pod=app-0_cf-apps(1b1f)`:                                                setUp,
		create + `error mounting "/var/lib/kubelet/pods/1b1f/volumes/x" to rootfs at "/data": not a directory: unknown`:       setUp,
		"": setUp,
	} {
		NewWithT(t).Expect(kubelet.StartFailure(message)).To(Equal(text), message)
	}
}

func TestEndsOfPods(t *testing.T) {
	const other = ": its node ended it or did not take it"
	for _, c := range []struct{ reason, message, text string }{
		{"Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 8Mi. Container opi was using 300Mi, request is 256Mi. ", "Evicted: The node was low on resource: memory."},
		{"Evicted", "The node had condition: [DiskPressure]. ", "Evicted: The node had condition: [DiskPressure]."},
		{"OutOfmemory", "Pod was rejected: Node didn't have enough resource: memory, requested: 268435456, used: 8, capacity: 9", "OutOfmemory: Node didn't have enough resource: memory"},
		{"Terminated", "Pod was terminated in response to imminent node shutdown.", "Terminated: its node is being shut down"},
		{"UnexpectedAdmissionError", "Allocate failed due to pod app-0_1b1f", "UnexpectedAdmissionError" + other},
		{"", "pod app-0 failed", "ended" + other},
		{"app-0 1b1f", "", "ended" + other},
	} {
		NewWithT(t).Expect(kubelet.PodEnd(c.reason, c.message)).To(Equal(c.text), c.message)
	}
}
