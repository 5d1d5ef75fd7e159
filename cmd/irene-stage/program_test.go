package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
)

// asProgram makes the test binary act as irene-stage.
const asProgram = "IRENE_STAGE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		_ = os.Unsetenv(asProgram)
		main()
	}
	os.Exit(m.Run())
}

// program is one run of irene-stage.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	terminationLog string
}

// stage prepares a run with a configuration in a file; text is taken as it is,
// anything else is written as JSON.
func stage(t *testing.T, step string, config any) *program {
	t.Helper()
	g := NewWithT(t)
	text, ok := config.(string)
	if !ok {
		marshaled, err := json.Marshal(config)
		g.Expect(err).NotTo(HaveOccurred())
		text = string(marshaled)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	g.Expect(os.WriteFile(file, []byte(text), 0o644)).To(Succeed())
	return stageWith(t, step, "--config", file)
}

// stageWith prepares a run with these arguments.
func stageWith(t *testing.T, args ...string) *program {
	t.Helper()
	executable, err := os.Executable()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	p := &program{terminationLog: filepath.Join(t.TempDir(), "termination-log")}
	p.cmd = exec.Command(executable, append(args, "--termination-log", p.terminationLog)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// The race detector would hold up every end by a second.
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return p
}

// run runs it and returns its exit status.
func (p *program) run(t *testing.T) int {
	t.Helper()
	_ = p.cmd.Run()
	NewWithT(t).Expect(p.cmd.ProcessState).NotTo(BeNil(), "it did not start")
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) outcome(t *testing.T, step string) steps.Outcome {
	t.Helper()
	g := NewWithT(t)
	text, err := os.ReadFile(p.terminationLog)
	g.Expect(err).NotTo(HaveOccurred())
	outcome, err := steps.ParseOutcome(step, text)
	g.Expect(err).NotTo(HaveOccurred())
	return outcome
}
