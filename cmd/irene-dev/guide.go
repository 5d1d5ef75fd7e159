package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// api is the URL of a path of Irene's API.
func (c *cloud) api(path ...string) string {
	for i, part := range path {
		path[i] = url.PathEscape(part)
	}
	return "http://" + c.state.API + "/" + strings.Join(path, "/")
}

// downCommand is how to undo everything, in the words of whoever runs irene-dev
// by make or by hand.
func (c *cloud) downCommand() string {
	if c.dir == absolute(".irene") && c.bin == absolute("bin") {
		return "make stop"
	}
	return fmt.Sprintf("%s down --dir %s --bin %s", os.Args[0], c.dir, c.bin)
}

func absolute(path string) string {
	path, _ = filepath.Abs(path) // "" for a working directory that is gone matches nothing
	return path
}

// guide says what to look at. Every line of it can be pasted into a shell.
func (c *cloud) guide() string {
	return fmt.Sprintf(`
Irene runs, and so does the sample app. Its instance 0 answers on its pod's address:
  curl %[1]s/
  curl %[1]s/env/CF_INSTANCE_GUID

What Irene made of it in Kubernetes (kubectl is the cluster's own):
  export KUBECONFIG=%[2]s PATH=%[3]s:$PATH
  kubectl -n %[4]s get statefulset,pods,pdb -o wide
  kubectl -n %[4]s describe statefulset
  kubectl -n %[4]s logs --prefix --tail=20 -l cloudfoundry.org/guid=%[5]s
Its variable %[6]s lives in a Secret, to which the StatefulSet only refers:
  kubectl -n %[4]s get statefulset -o yaml | grep -A4 %[6]s
  kubectl -n %[4]s get secret
  curl %[1]s/env/%[6]s

Irene's API, as Cloud Controller uses it (the app's request is in %[7]s):
  API=%[8]s GUID=%[5]s VERSION=%[9]s
  curl $API/apps
  curl $API/apps/$GUID/$VERSION/instances
  curl -X POST $API/apps/$GUID-$VERSION -d '{"guid":"'$GUID'","version":"'$VERSION'","update":{"instances":3}}'
  curl '%[1]s/exit?code=7'    # a crash: kubectl get pods counts the restart
  curl -X PUT $API/apps/$GUID/$VERSION/stop    # another "up" brings it back

Irene itself (its log is %[10]s):
  curl http://%[11]s/readyz
  curl -s http://%[11]s/metrics | grep ^irene_

To stop all of it: %[12]s
`,
		c.app.url, c.cluster.Kubeconfig, c.at(programsName), appsNamespace, c.app.guid, sampleSecret, c.at(desireName),
		"http://"+c.state.API, c.app.version, c.log(ireneProgram), c.state.Observe, c.downCommand())
}
