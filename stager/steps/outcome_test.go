package steps

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"
)

func TestOutcomes(t *testing.T) {
	g := NewWithT(t)
	outcome := NewOutcome(PushStep, time.Now().Add(-2500*time.Millisecond), []Phase{{Name: "upload", Seconds: 1.25, Bytes: 7}}, nil)
	outcome.Droplet = &OutcomeDroplet{Bytes: 7, SHA1: "a", SHA256: "b", Manifest: "sha256:c", Result: "sha256:d"}
	g.Expect(outcome.Seconds).To(BeNumerically("~", 2.5, 0.5))
	outcome.Seconds = 2.5
	text, err := outcome.Text()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(Equal(`{"step":"push","seconds":2.5,"phases":[{"name":"upload","seconds":1.25,"bytes":7}],"droplet":{"bytes":7,"sha1":"a","sha256":"b","manifest":"sha256:c","result":"sha256:d"}}`))
	g.Expect(ParseOutcome(PushStep, text)).To(Equal(outcome))

	outcome = NewOutcome(BuildStep, time.Now(), nil, fmt.Errorf("outer: %w", Fail(NoAppDetected, "none wants it")))
	g.Expect(outcome.Failure).To(Equal(&OutcomeFailure{Reason: NoAppDetected, ID: "NoAppDetectedError", Message: "none wants it"}))
	text, err = outcome.Text()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ParseOutcome(BuildStep, text)).To(Equal(outcome))
}

func TestLongOutcomesAreShortened(t *testing.T) {
	g := NewWithT(t)
	var phases []Phase
	for range 150 {
		phases = append(phases, Phase{Name: strings.Repeat("ü", 200), Seconds: 1234.567, Bytes: 1 << 40})
	}
	for _, message := range []string{strings.Repeat("x", 100_000), strings.Repeat("ü\x01\"", 50_000), "x" + strings.Repeat("\x01", 100_000), "short"} {
		outcome := NewOutcome(FetchStep, time.Now(), phases, Fail(DownloadFailed, "%s", message))
		text, err := outcome.Text()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(len(text)).To(BeNumerically("<=", MaxOutcomeBytes))
		g.Expect(utf8.Valid(text)).To(BeTrue())
		parsed, err := ParseOutcome(FetchStep, text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(parsed.Failure.Reason).To(Equal(DownloadFailed))
		g.Expect(parsed.Failure.Message).NotTo(BeEmpty())
	}
	g.Expect(phases).To(HaveLen(150), "the caller's stay as they are")
	g.Expect(phases[0].Name).To(HaveLen(400))
}

func TestForgedOutcomes(t *testing.T) {
	for text, want := range map[string]string{
		``:                "is not a step's outcome",
		`staging failed`:  "is not a step's outcome",
		`{"step":"push"}`: "is not that of build",
		`{"step":"build","failure":{"reason":"made up","id":"x","message":"y"}}`: "unknown reason",
		`{"step":"build","droplet":{"result":"sha256:mine"}}`:                    "tells of a droplet",
		`{"step":"build","phases":[` + strings.Repeat(`{},`, 300) + `{}]}`:       "too many phases",
		`{"step":"build"` + strings.Repeat(" ", 4096) + `}`:                      "too long",
	} {
		g := NewWithT(t)
		_, err := ParseOutcome(BuildStep, []byte(text))
		g.Expect(err).To(MatchError(ContainSubstring(want)))
	}
	g := NewWithT(t)
	outcome, err := ParseOutcome(BuildStep, []byte(`{"step":"build","failure":{"reason":"compile","id":"InsufficientResources","message":"line\u001b[2J\r\nnext"}}`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*outcome.Failure).To(Equal(OutcomeFailure{Reason: CompileFailed, ID: "BuildpackCompileFailed", Message: "line [2J \nnext"}))
	_, err = ParseOutcome(PushStep, []byte(`{"step":"push"}`))
	g.Expect(err).To(MatchError(ContainSubstring("or not where there is one")), "success without a droplet is none")
	_, err = ParseOutcome(PushStep, []byte(`{"step":"push","failure":{"reason":"upload"},"droplet":{}}`))
	g.Expect(err).To(HaveOccurred())
}

func TestReasons(t *testing.T) {
	g := NewWithT(t)
	statuses := map[int]bool{0: true}
	for reason, c := range consequences {
		g.Expect(statuses[c.status]).To(BeFalse(), "%s shares its status", reason)
		statuses[c.status] = true
		found, ok := ReasonOfExit(c.status)
		g.Expect(ok).To(BeTrue())
		g.Expect(found).To(Equal(reason))
		g.Expect(reason.Known()).To(BeTrue())
		g.Expect(c.id).To(BeElementOf("StagerError", "StagingError", "NoAppDetectedError", "BuildpackCompileFailed", "BuildpackReleaseFailed"))
	}
	_, ok := ReasonOfExit(137)
	g.Expect(ok).To(BeFalse())
	g.Expect(Reason("other").Known()).To(BeFalse())
}

func TestFailures(t *testing.T) {
	g := NewWithT(t)
	full := &fs.PathError{Op: "write", Path: "/tmp/x", Err: syscall.ENOSPC}
	g.Expect(AsFailure(full).Reason).To(Equal(OutOfDisk))
	g.Expect(Because(DownloadFailed, full, "the app").Reason).To(Equal(OutOfDisk))
	g.Expect(Because(DownloadFailed, errors.New("why"), "the %s", "app")).To(MatchError("the app: why"))
	inner := Fail(OutOfMemory, "too much")
	g.Expect(Because(CompileFailed, fmt.Errorf("outer: %w", inner), "compile")).To(BeIdenticalTo(inner))
	g.Expect(AsFailure(errors.New("odd")).Reason).To(Equal(Internal))
	g.Expect(errors.Is(Because(Internal, fs.ErrClosed, "x"), fs.ErrClosed)).To(BeTrue())
}

func TestSizes(t *testing.T) {
	g := NewWithT(t)
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KB", 12_900_000: "12.3 MB", 1 << 30: "1.0 GB", 3 << 40: "3.0 TB", 1 << 60: "1048576.0 TB"} {
		g.Expect(Size(bytes)).To(Equal(want))
	}
}

func TestUserLog(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	NewUserLog(&out).Line("%d%% of %s", 7, "it")
	g.Expect(out.String()).To(Equal("7% of it\n"))
}

func FuzzParseOutcome(f *testing.F) {
	f.Add([]byte(`{"step":"build","seconds":1,"phases":[{"name":"a"}],"failure":{"reason":"compile","message":"m"}}`))
	f.Add([]byte(`{"step":"push","droplet":{"bytes":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, step := range []string{BuildStep, PushStep} {
			outcome, err := ParseOutcome(step, text)
			if err != nil {
				continue
			}
			again, err := outcome.Text()
			if err != nil || len(again) > MaxOutcomeBytes {
				t.Fatalf("what was read can't be written: %v", err)
			}
			if _, err := ParseOutcome(step, again); err != nil {
				t.Fatalf("what was written can't be read: %v", err)
			}
		}
	})
}
