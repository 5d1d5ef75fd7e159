package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi/sidecars"
)

// withSidecars gives the droplet sidecars by their names and commands, as the pod spec does.
func (d *droplet) withSidecars(t *testing.T, namesAndCommands ...string) *droplet {
	t.Helper()
	members := sidecars.Members{App: "APP/PROC/WEB"}
	for i := 0; i < len(namesAndCommands); i += 2 {
		members.Sidecars = append(members.Sidecars, sidecars.Sidecar{
			Source: sidecars.SourceOf(members.App, namesAndCommands[i]), Command: namesAndCommands[i+1],
			Environment: map[string]string{"OWN": sidecars.Variable(i/2+1, "OWN"), "VCAP_APPLICATION": sidecars.Variable(i/2+1, "VCAP_APPLICATION")},
		})
	}
	arguments, err := members.Arguments()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	d.args = arguments
	return d.file(t, "termination-log", "")
}

// end is the container's termination message.
func (d *droplet) end(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.home, "termination-log"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// waiter is a program that prints the signals it gets, and ends by itself when the test does.
const waiter = `#!/bin/bash
	trap "echo $1 got TERM; exit ${2:-0}" TERM
	trap "echo $1 got USR1." USR1
	echo $1 ready
	while :; do read -t 0.1 line; [ $? -gt 128 ] || exit; done`

func TestTheFirstMemberThatEndsEndsTheOthers(t *testing.T) {
	for _, status := range []int{0, 3} {
		everywhere(t, func(t *testing.T, d *droplet) {
			g := NewWithT(t)
			d.file(t, "app/waiter", waiter).with("START_COMMAND", "exec ./waiter app 7").
				withSidecars(t, "logger", fmt.Sprintf("while ! [ -e ../go ]; do sleep 0.05; done; exit %d", status), "other", "exec ./waiter other")
			r := d.start(t)
			r.awaitOutput(t, "app ready")
			r.awaitOutput(t, "[APP/PROC/WEB/SIDECAR/OTHER] other ready")
			d.file(t, "go", "")
			r.awaitEnd(t)
			g.Expect(r.status).To(Equal(status))
			g.Expect(d.end(t)).To(Equal(fmt.Sprintf("APP/PROC/WEB/SIDECAR/LOGGER: Exited with status %d", status)))
			g.Expect(r.stdout.String()).To(And(ContainSubstring("app got TERM\n"), ContainSubstring("[APP/PROC/WEB/SIDECAR/OTHER] other got TERM\n")))
			g.Expect(r.stderr.String()).To(BeEmpty())
		})
	}
}

func TestTheAppEndsItsSidecars(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		d.file(t, "app/waiter", waiter).with("START_COMMAND", "while ! [ -e ../go ]; do sleep 0.05; done; kill -9 $$").
			withSidecars(t, "other", "exec ./waiter other")
		r := d.start(t)
		r.awaitOutput(t, "other ready")
		d.file(t, "go", "")
		r.awaitEnd(t)
		g.Expect(r.status).To(Equal(137))
		g.Expect(d.end(t)).To(Equal("APP/PROC/WEB: Exited with status 137"))
		g.Expect(r.stdout.String()).To(ContainSubstring("other got TERM"))
	})
}

func TestAMemberThatIgnoresTheEndIsKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		d.with(graceVariable, "300ms").with("START_COMMAND", "trap '' TERM; echo app ready; while :; do sleep 0.05; done").
			withSidecars(t, "short", "while ! [ -e ../go ]; do sleep 0.05; done")
		r := d.start(t)
		r.awaitOutput(t, "app ready")
		d.file(t, "go", "")
		r.awaitEnd(t)
		g.Expect(r.status).To(BeZero())
	})
}

func TestSignalsReachAllMembersOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		d.file(t, "app/waiter", waiter).with("START_COMMAND", "exec ./waiter app").withSidecars(t, "other", "exec ./waiter other")
		r := d.start(t)
		r.awaitOutput(t, "app ready")
		r.awaitOutput(t, "other ready")
		r.signal(t, syscall.SIGUSR1)
		r.awaitOutput(t, "app got USR1.")
		r.awaitOutput(t, "other got USR1.")
		r.signal(t, syscall.SIGTERM)
		r.awaitEnd(t)
		g.Expect(strings.Count(r.stdout.String(), "got TERM")).To(Equal(2))
	})
}

func TestOrphansOfSidecarsAreReapedAndEndWithThem(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		d.file(t, "app/waiter", waiter).with("START_COMMAND", "for i in $(seq 20); do ( sleep 0.1 & ); done; exec ./waiter app").
			withSidecars(t, "other", "exec 3<&0; ( ./waiter child <&3 & ); exec ./waiter other")
		r := d.start(t)
		r.awaitOutput(t, "[APP/PROC/WEB/SIDECAR/OTHER] child ready")
		r.awaitOutput(t, "app ready")
		r.awaitOutput(t, "other ready")
		g.Eventually(func() string { return states(t, r.cmd.Process.Pid) }, patience).Should(MatchRegexp("^S+$"), "no zombie is left")
		r.signal(t, syscall.SIGTERM)
		r.awaitEnd(t)
		g.Expect(r.stdout.String()).To(ContainSubstring("[APP/PROC/WEB/SIDECAR/OTHER] child got TERM\n"), "output of the end is not lost")
	})
}

func TestMembersHaveTheirOwnEnvironment(t *testing.T) {
	g := NewWithT(t)
	d := newDroplet(t).file(t, "profile.d/0.sh", "export FROM_PROFILE=yes").
		with("OWN", "the app's").with("IRENE_SIDECAR_1_OWN", "the sidecar's $(X) $$").with("SHARED", "both").
		with("VCAP_APPLICATION", `{"limits":{"mem":256}}`).with("IRENE_SIDECAR_1_VCAP_APPLICATION", `{"limits":{"mem":64}}`).
		with("CF_INSTANCE_GUID", "some-guid").with("PORT", "8080").
		with("START_COMMAND", `while ! [ -e ../asked ]; do sleep 0.05; done; printf '%s|' "$OWN" "$SHARED" "$VCAP_APPLICATION" "$(env | grep -c ^IRENE_)" "$PWD"; echo; echo >../answered; sleep 60`).
		withSidecars(t, "s", `printf '%s|' "$OWN" "$SHARED" "$VCAP_APPLICATION" "$(env | grep -c -e ^IRENE_ -e ^START_COMMAND)" "$PWD" "$HOME" "$FROM_PROFILE" "$PORT"; echo; echo >../asked; while ! [ -e ../answered ]; do sleep 0.05; done`)
	r := d.run(t)
	app := filepath.Join(d.home, "app")
	g.Expect(r.stdout.String()).To(ContainSubstring(`the app's|both|{"limits":{"mem":256},"instance_id":"some-guid","host":"0.0.0.0","port":8080}|0|` + app + "|\n"))
	g.Expect(r.stdout.String()).To(ContainSubstring(`[APP/PROC/WEB/SIDECAR/S] the sidecar's $(X) $$|both|{"limits":{"mem":64},"instance_id":"some-guid","host":"0.0.0.0","port":8080}|0|` + app + "|" + app + "|yes|8080|\n"))
}

// An app without sidecars has no part in any of this, whatever its variables are called.
func TestWithoutSidecarsNothingIsTakenAway(t *testing.T) {
	g := NewWithT(t)
	d := newDroplet(t).file(t, "termination-log", "").with("IRENE_SIDECAR_1_OWN", "mine").with("START_COMMAND", `echo $IRENE_SIDECAR_1_OWN; exit 3`)
	r := d.run(t)
	g.Expect(r.stdout.String()).To(Equal("mine\n"))
	g.Expect(d.end(t)).To(BeEmpty())
}

func TestSidecarsThatCanNotBeStarted(t *testing.T) {
	g := NewWithT(t)
	d := newDroplet(t).with("START_COMMAND", "sleep 60")
	d.args = []string{"--source=APP", `--sidecar={"source":"S"}`}
	r := d.run(t)
	g.Expect(r.status).To(Equal(statusUsage))
	g.Expect(r.stderr.String()).To(ContainSubstring("a sidecar without a command"))

	large := newDroplet(t).with("START_COMMAND", "sleep 60").withSidecars(t, "large", "true "+strings.Repeat("'", 40<<10))
	r = large.run(t)
	g.Expect(r.status).To(Equal(statusSystem))
	g.Expect(r.stderr.String()).To(HavePrefix("launch: APP/PROC/WEB/SIDECAR/LARGE: the start command is too large: "))
}

func TestBothStreamsOfASidecarStayApart(t *testing.T) {
	g := NewWithT(t)
	d := newDroplet(t).with("START_COMMAND", "sleep 60").withSidecars(t, "s", `echo out; printf 'rest'; printf 'error' >&2`)
	r := d.run(t)
	g.Expect(r.stdout.String()).To(Equal("[APP/PROC/WEB/SIDECAR/S] out\n[APP/PROC/WEB/SIDECAR/S] rest\n"))
	g.Expect(r.stderr.String()).To(Equal("[APP/PROC/WEB/SIDECAR/S] error\n"))
}
