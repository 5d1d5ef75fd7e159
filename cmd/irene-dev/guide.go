package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// downCommand is how to undo everything, in the words of whoever runs irene-dev
// by make or by hand.
func (c *cloud) downCommand() string {
	if c.byMake() {
		return "make stop"
	}
	return c.command("down")
}

// pushCommand is how to push a folder, in the same words.
func (c *cloud) pushCommand(folder, name string) string {
	if c.byMake() {
		return fmt.Sprintf("make push DIR=%s NAME=%s", folder, name)
	}
	return c.command("push", folder, "--name", name)
}

// opiFlag is what makes a push use the OPI door, in the same words.
func (c *cloud) opiFlag() string {
	if c.byMake() {
		return `ARGS="--door opi"`
	}
	return "--door opi"
}

// command is a command line of irene-dev for this cloud, from the present folder.
func (c *cloud) command(args ...string) string {
	if c.byMake() {
		return "bin/" + devProgram + " " + strings.Join(args, " ")
	}
	return fmt.Sprintf("%s %s --dir %s --bin %s", c.program(devProgram), strings.Join(args, " "), c.dir, c.bin)
}

func (c *cloud) byMake() bool { return c.dir == absolute(".irene") && c.bin == absolute("bin") }

func absolute(path string) string {
	path, _ = filepath.Abs(path) // "" for a working directory that is gone matches nothing
	return path
}

// guideCommand is how to read the guide, in the same words.
func (c *cloud) guideCommand() string {
	if c.byMake() {
		return "make guide"
	}
	return c.command("guide")
}

// showSummary prints what matters of a cloud that runs, and writes the guide for
// [showGuide].
func (c *cloud) showSummary(out io.Writer) error {
	guide, err := c.guide()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.at(guideName), []byte(guide), 0o644); err != nil {
		return fmt.Errorf("write the guide: %w", err)
	}
	return summaryText.Execute(out, map[string]string{
		"app":        c.url(sampleRoute),
		"hello":      c.url(helloName + "." + appDomain),
		"push":       c.pushCommand(siteName, siteName),
		"apps":       c.command("apps"),
		"kubeconfig": c.cluster.Kubeconfig,
		"programs":   c.at(programsName),
		"namespace":  appsNamespace,
		"guid":       c.app.guid,
		"ireneLog":   c.log(ireneProgram),
		"guide":      c.guideCommand(),
		"down":       c.downCommand(),
	})
}

// showGuide prints the guide that the last "up" wrote.
func showGuide(_ context.Context, o options, out io.Writer) error {
	guide, err := os.ReadFile(filepath.Join(o.dir, guideName))
	if errors.Is(err, fs.ErrNotExist) {
		return errNotRunning
	}
	if err != nil {
		return fmt.Errorf("read the guide: %w", err)
	}
	_, err = out.Write(guide)
	return err
}

var summaryText = template.Must(template.New("summary").Option("missingkey=error").Parse(`
Irene runs, and so do two apps: one came as a droplet, the other was staged from source.
  curl {{.app}}/
  curl {{.hello}}/
Push a folder of your own:  {{.push}}
List apps, scale, delete:   {{.apps}}
kubectl:                    export KUBECONFIG={{.kubeconfig}} PATH={{.programs}}:$PATH
Logs of an app:             kubectl -n {{.namespace}} logs -l cloudfoundry.org/guid={{.guid}}
Irene's own log:            {{.ireneLog}}
All there is to look at:    {{.guide}}
Stop all of it:             {{.down}}
`))

// siteName is the app that the guide pushes.
const siteName = "my-site"

// guide says what to look at. Every line of it can be pasted into a shell, and all of
// them one after the other.
func (c *cloud) guide() (string, error) {
	var text strings.Builder
	err := guideText.Execute(&text, map[string]string{
		"app":        c.url(sampleRoute),
		"guid":       c.app.guid,
		"version":    c.app.version,
		"variable":   sampleSecret,
		"request":    c.at(desireName),
		"api":        "http://" + c.state.API,
		"bbs":        c.bbsURL(),
		"apps":       c.command("apps"),
		"scale":      c.command("scale", siteName, "2"),
		"opiFlag":    c.opiFlag(),
		"routes":     c.status("routes"),
		"counts":     c.status("counts"),
		"edgeLog":    c.log(edgeName),
		"nats":       c.state.NATS,
		"natsUser":   natsUser,
		"password":   c.at(natsPassword),
		"emitter":    c.observe("readyz/emitter"),
		"kubeconfig": c.cluster.Kubeconfig,
		"programs":   c.at(programsName),
		"namespace":  appsNamespace,
		"ireneLog":   c.log(ireneProgram),
		"ready":      c.observe("readyz"),
		"metrics":    c.observe("metrics"),
		"registry":   c.state.RegistryAddress,
		"reader":     registryReader,
		"readerPass": c.passwordFile(registryReader),
		"repository": c.image.repository(),
		"tag":        c.image.tag(),
		"irene":      c.program(ireneProgram),
		"config":     c.at(ireneConfig),
		"fetches":    c.log(cloudControllerName),
		"hello":      c.url(helloName + "." + appDomain),
		"site":       c.url(siteName + "." + appDomain),
		"push":       c.pushCommand("$SITE", siteName),
		"delete":     c.command("delete", siteName),
		"reports":    c.log(cloudControllerName),
		"down":       c.downCommand(),
	})
	return text.String(), err
}

var guideText = template.Must(template.New("guide").Option("missingkey=error").Parse(`
Irene runs, and so do two apps. Cloud Controller's stand-in asked for each by one of Irene's two doors: for the hello app
by the API of Diego's BBS, as a Cloud Controller of today does (protobuf and mutual TLS, at {{.bbs}}),
and for the sample app by OPI, as those of 2018 to 2023 do (JSON, at {{.api}}):
  {{.apps}}

The sample app answers through the router, by its host name (which leads to this machine without DNS, as all names below
.localhost do):
  curl {{.app}}/
  curl {{.app}}/env/CF_INSTANCE_GUID; echo

The hello app was pushed from source: Irene staged it in a Job, with a buildpack, and runs the droplet:
  curl {{.hello}}/
So does it with a folder of yours; pushed again, the new version takes the place of the one before, without a gap:
  SITE=$(mktemp -d); echo '<h1>My site</h1>' > $SITE/index.html
  {{.push}}
  curl {{.site}}/
  {{.scale}}
With {{.opiFlag}} it is pushed by the OPI door, and moves there from the other one.
Requests and reports of builds in the log of Cloud Controller's stand-in:
  grep 'msg=build' {{.reports}}

Irene's OPI door, as an old Cloud Controller uses it (the sample app's request is in {{.request}}):
  API={{.api}} GUID={{.guid}} VERSION={{.version}}
  curl $API/apps
  curl $API/apps/$GUID/$VERSION/instances

Scaled to three, one instance can be asked for (as soon as it is there), and all take turns:
  curl -X POST $API/apps/$GUID-$VERSION -d '{"guid":"'$GUID'","version":"'$VERSION'","update":{"instances":3}}'
  for i in 0 1 2; do until curl -sf -H "X-Cf-App-Instance: $GUID:$i" {{.app}}/; do sleep 1; done; done
  for i in 1 2 3 4 5 6; do curl -s {{.app}}/; done

The router's table, and what has reached the router (its log, with every request, is {{.edgeLog}}):
  curl {{.routes}}
  curl {{.counts}}
Irene tells it over NATS at {{.nats}} (user {{.natsUser}}, password in {{.password}}):
  curl {{.emitter}}

The sample app's image lies in Irene's registry. Irene made it of a stack, its own launch program and the app's
droplet, which it fetched once (the log of Cloud Controller's stand-in tells) and turned into a layer; of apps that are
staged, the layer is there already:
  READER="{{.reader}}:$(cat {{.readerPass}})" REGISTRY=http://{{.registry}}/v2
  curl -u "$READER" $REGISTRY/_catalog
  curl -u "$READER" -H 'Accept: application/vnd.oci.image.manifest.v1+json' $REGISTRY/{{.repository}}/manifests/{{.tag}}; echo
  {{.irene}} stack list --config {{.config}}
  grep GET {{.fetches}}
What desires cost in the registry; another "up" uploads nothing more:
  curl -s {{.metrics}} | grep -E '^irene_(image_assemblies|droplet_fetches|registry_blobs)_total'

What Irene made of apps and builds in Kubernetes (kubectl is the cluster's own):
  export KUBECONFIG={{.kubeconfig}} PATH={{.programs}}:$PATH
  kubectl -n {{.namespace}} get statefulset,pods,pdb -o wide
  kubectl -n {{.namespace}} describe statefulset
  kubectl -n {{.namespace}} logs --prefix --tail=20 -l cloudfoundry.org/guid={{.guid}}
  kubectl -n {{.namespace}} get jobs -l cloudfoundry.org/source_type=STG
The sample app's variable {{.variable}} lives in a Secret, to which the StatefulSet only refers:
  kubectl -n {{.namespace}} get statefulset -o yaml | grep -A4 {{.variable}}
  kubectl -n {{.namespace}} get secret
  curl {{.app}}/env/{{.variable}}; echo

Irene itself (its log is {{.ireneLog}}):
  curl {{.ready}}
  curl -s {{.metrics}} | grep ^irene_

A crash (kubectl get pods counts the restart, and Cloud Controller's stand-in gets a report), the end of the sample app,
which another "up" brings back, and that of your own, for good:
  curl '{{.app}}/exit?code=7'
  until grep msg=crashed {{.reports}}; do sleep 1; done
  curl -X PUT $API/apps/$GUID/$VERSION/stop
  {{.delete}}

To stop all of it: {{.down}}
`))
