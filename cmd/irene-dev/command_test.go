package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, exitUsage, "Usage:"},
		{[]string{"help"}, 0, "Usage:"},
		{[]string{"up", "-h"}, 0, "Usage:"},
		{[]string{"run"}, exitUsage, `unknown command "run"`},
		{[]string{"up", "now"}, exitUsage, `unexpected argument "now"`},
		{[]string{"up", "--dir", ""}, exitUsage, "--dir: is empty"},
		{[]string{"down", "--rootfs", "x"}, exitUsage, "not defined: -rootfs"},
		{[]string{"edge"}, exitUsage, "edge: missing --nats, --user, --password-file, --router, --status"},
		{[]string{"edge", "--dir", "x"}, exitUsage, "not defined: -dir"},
		{[]string{"edge", "now"}, exitUsage, `unexpected argument "now"`},
		{[]string{"cloudcontroller", "--address", "x"}, exitUsage, "cloudcontroller: missing --control, --content, --certificates, --fileserver"},
		{[]string{"push", "--name", "x"}, exitUsage, "push: wants one folder, but got 0"},
		{[]string{"push", "a", "b", "--name", "x"}, exitUsage, "push: wants one folder, but got 2"},
		{[]string{"push", "."}, exitUsage, "push: missing --name"},
		{[]string{"push", ".", "--name", "No_Host"}, exitUsage, `"No_Host" can't begin a host name`},
		{[]string{"push", ".", "--name", sampleAppName}, exitUsage, "is the name of the sample app"},
		{[]string{"push", ".", "--name", "x", "--env", "A"}, exitUsage, "-env: is not NAME=VALUE"},
		{[]string{"push", ".", "--name", "x", "--memory", "0"}, exitUsage, "at least 1"},
		{[]string{"push", ".", "--name", "x", "--memory", "much"}, exitUsage, "-memory"},
		{[]string{"push", "/nowhere/at-all", "--name", "x"}, exitFailed, "push: stat /nowhere/at-all: no such file or directory"},
		{[]string{"push", "/bin/sh", "--name", "x"}, exitFailed, "push: /bin/sh is no folder"},
		{[]string{"push", ".", "--name", "x", "--dir", "/nowhere/at-all"}, exitFailed, "push: nothing runs here"},
		{[]string{"push", ".", "--name", "x", "--door", "k8s"}, exitUsage, `--door: "k8s" is neither bbs nor opi`},
		{[]string{"apps", "x"}, exitUsage, `unexpected argument "x"`},
		{[]string{"apps", "--dir", "/nowhere/at-all"}, exitFailed, "apps: nothing runs here"},
		{[]string{"scale", "x"}, exitUsage, "scale: wants the name of an app and a number of instances"},
		{[]string{"scale", "x", "many"}, exitUsage, `"many" is no number of instances`},
		{[]string{"scale", "x", "2", "--dir", "/nowhere/at-all"}, exitFailed, "scale: nothing runs here"},
		{[]string{"delete"}, exitUsage, "delete: wants the name of one app"},
		{[]string{"delete", "x", "--dir", "/nowhere/at-all"}, exitFailed, "delete: nothing runs here"},
	} {
		var out bytes.Buffer
		g := NewWithT(t)
		g.Expect(command(context.Background(), test.args, &out, &out)).To(Equal(test.status), "%v", test.args)
		g.Expect(out.String()).To(ContainSubstring(test.says))
	}
}

func TestUpSaysAllThatIsMissing(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join(t.TempDir(), "dir")
	var out bytes.Buffer
	g.Expect(command(context.Background(), []string{"up", "--dir", dir, "--bin", "/nowhere", "--rootfs", "/nowhere/at-all.tar"}, &out, &out)).To(Equal(exitFailed))
	for _, missing := range []string{"/nowhere/irene-cluster: make cluster-node", "/nowhere/irene: make binaries", "/nowhere/launch:", "/nowhere/irene-stage:", "/nowhere/sampleapp:", "/nowhere/fileserver:", "/nowhere/irene-dev:", "at-all.tar"} {
		g.Expect(out.String()).To(ContainSubstring(missing))
	}
	g.Expect(command(context.Background(), []string{"down", "--dir", dir, "--bin", "/nowhere"}, &out, &out)).To(Equal(0), out.String())
	g.Expect(dir).NotTo(BeAnExistingFile())
}

func TestStepsAreToldInOrderAndStopAtAFailure(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	failed := errors.New("broken")
	never := func(*cloud, context.Context) (string, error) { panic("must not run") }
	err := (&cloud{}).runSteps(context.Background(), &out, []step{
		{"first", "about an hour", func(*cloud, context.Context) (string, error) { return "done", nil }},
		{"second", "", func(*cloud, context.Context) (string, error) { return "", failed }},
		{"third", "", never},
	})
	g.Expect(err).To(MatchError(failed))
	g.Expect(err).To(MatchError("second: broken"))
	g.Expect(out.String()).To(Equal("[1/3] first, about an hour ... done (0.0 s)\n[2/3] second ... failed after 0.0 s\n"))
}
