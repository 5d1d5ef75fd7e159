package main

import (
	"bytes"
	"testing"

	. "github.com/onsi/gomega"
)

func TestSummaryNamesTheCommands(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	c := &cloud{
		options: options{dir: dir, bin: "/b"}, folder: &folder{path: dir},
		state: state{Router: "127.0.0.1:8080"}, image: testImage,
		cluster: clusterReady{Kubeconfig: "/d/kubeconfig"}, app: sampleApp{guid: "g", version: "v"},
	}
	var out, guide bytes.Buffer
	g.Expect(showGuide(t.Context(), c.options, &guide)).To(MatchError(errNotRunning))
	g.Expect(c.showSummary(&out)).To(Succeed())
	for _, line := range []string{
		"curl http://sample-app.localhost:8080/\n",
		"push my-site --name my-site --dir " + dir,
		"export KUBECONFIG=/d/kubeconfig PATH=" + dir + "/bin:$PATH\n",
		"/b/irene-dev guide --dir " + dir,
		"/b/irene-dev down --dir " + dir,
	} {
		g.Expect(out.String()).To(ContainSubstring(line))
	}
	g.Expect(showGuide(t.Context(), c.options, &guide)).To(Succeed())
	g.Expect(guide.String()).To(ContainSubstring("To stop all of it:"))
}

func TestGuideCanBePasted(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{
		options: options{dir: "/d", bin: "/b"}, folder: &folder{path: "/d"},
		state: state{API: "127.0.0.1:8085", BBS: "127.0.0.1:8889", Observe: "127.0.0.1:9102", NATS: "127.0.0.1:4222", Router: "127.0.0.1:8080", Status: "127.0.0.1:8082",
			RegistryAddress: "10.1.2.3:5001"},
		image:   testImage,
		cluster: clusterReady{Kubeconfig: "/d/cluster/kubeconfig"},
		app:     sampleApp{guid: "g", version: "v"},
	}
	text, err := c.guide()
	g.Expect(err).NotTo(HaveOccurred())
	for _, line := range []string{
		"curl http://sample-app.localhost:8080/\n",
		`curl -sf -H "X-Cf-App-Instance: $GUID:$i" http://sample-app.localhost:8080/;`,
		"curl http://127.0.0.1:8082/routes\n",
		"NATS at 127.0.0.1:4222 (user irene, password in /d/nats-password):\n",
		"curl http://127.0.0.1:9102/readyz/emitter\n",
		"export KUBECONFIG=/d/cluster/kubeconfig PATH=/d/bin:$PATH\n",
		"API=http://127.0.0.1:8085 GUID=g VERSION=v\n",
		"curl http://127.0.0.1:9102/readyz\n",
		`READER="nodes:$(cat /d/credentials/nodes-password)" REGISTRY=http://10.1.2.3:5001/v2` + "\n",
		"$REGISTRY/cloudfoundry/" + testImage.dropletGUID + "/manifests/" + testImage.tag() + "; echo\n",
		"/b/irene stack list --config /d/irene.yaml\n",
		"grep GET /d/log/cloudcontroller.log\n",
		"at https://127.0.0.1:8889),\n",
		"curl http://hello.localhost:8080/\n",
		"  /b/irene-dev apps --dir /d --bin /b\n",
		"  /b/irene-dev scale my-site 2 --dir /d --bin /b\n",
		"With --door opi it is pushed by the OPI door",
		"  /b/irene-dev push $SITE --name my-site --dir /d --bin /b\n",
		"  /b/irene-dev delete my-site --dir /d --bin /b\n",
		"/b/irene-dev down --dir /d --bin /b\n",
	} {
		g.Expect(text).To(ContainSubstring(line))
	}
}
