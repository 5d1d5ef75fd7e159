package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/opi"
)

// examinationPatience bounds each area of an examination. Whoever can't answer within it
// can't be worked with.
const examinationPatience = 30 * time.Second

// Verdicts on what was looked at.
const (
	verdictOK      = "ok"
	verdictWarning = "warning" // works today
	verdictFailed  = "failed"
	verdictUnknown = "unknown" // can't be told from here
)

// finding is what one look showed.
type finding struct {
	// Check names what was looked at, by its key in the configuration where it has one.
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Found   string `json:"found"`
	// Mend is what to do; empty when all is well.
	Mend string `json:"mend,omitempty"`
}

func fine(check, format string, args ...any) finding {
	return finding{Check: check, Verdict: verdictOK, Found: fmt.Sprintf(format, args...)}
}

func failed(check string, err error, mend string) finding {
	return finding{Check: check, Verdict: verdictFailed, Found: err.Error(), Mend: mend}
}

// examination is what the looks have in common.
type examination struct {
	config Configuration
	// clients talk to the API server as the service would.
	clients k8s.Clients
	now     time.Time
	// callerCertificate is a PEM file with the certificate that Cloud Controller shows to
	// irene; empty where the person who asks does not have it.
	callerCertificate string
	// bbsCallerCertificate is the same for the BBS API.
	bbsCallerCertificate string
	// cloudController are addresses beside the configured ones.
	cloudController []string
	// droplet is to be fetched from droplets.source; without a guid, those of a few apps
	// are tried.
	droplet opi.Droplet
}

// area is a part of an examination. Areas are independent of one another.
type area func(context.Context, examination) []finding

// examine looks at everything that the service needs and says what is wrong and how to
// mend it. Its status is 1 when something is wrong.
func examine(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	output := outputFlag(flags)
	e := examination{now: time.Now()}
	flags.StringVar(&e.callerCertificate, "caller-certificate", "", "`FILE` with the certificate that Cloud Controller shows to irene, to be checked too")
	flags.StringVar(&e.bbsCallerCertificate, "bbs-caller-certificate", "", "`FILE` with the certificate that Cloud Controller shows to the BBS API, to be checked too")
	flags.Func("cloud-controller", "another `URL` of Cloud Controller to try, such as that of its uploader; may be repeated", func(address string) error {
		e.cloudController = append(e.cloudController, address)
		return nil
	})
	flags.Func("droplet", "a droplet to fetch from droplets.source, as `GUID/SHA1`, which is how the keys of Cloud Controller's blobstore end; without, one of an app that is here", func(key string) (err error) {
		e.droplet, err = dropletOfKey(key)
		return err
	})
	path, err := parseFlags(flags, args, 0, 0)
	if err != nil {
		return err
	}
	if err := output.check(); err != nil {
		return err
	}
	found := e.run(ctx, path)
	err = output.print(stdout, found, func(table io.Writer) { writeFindings(table, found) })
	if _, wrong := countVerdicts(found); err == nil && wrong > 0 {
		return statusOnly(exitFailed)
	}
	return err
}

// run reads the configuration and looks at all areas, several at a time.
func (e examination) run(ctx context.Context, path string) []finding {
	var err error
	if e.config, err = Load(path); err != nil {
		return []finding{failed("configuration", err, "correct the file; docs/configuration.md describes its keys")}
	}
	found := []finding{fine("configuration", "%s", path)}
	e.clients, err = k8s.NewClients(e.config.Kubernetes.KubeconfigFile, e.config.Kubernetes.MaxParallelCalls, prometheus.NewRegistry())
	if err != nil {
		return append(found, failed("kubernetes", err, "correct kubernetes.kubeconfig_file, or run inside the cluster, where the service account is used"))
	}
	areas := e.config.checks()
	byArea := make([][]finding, len(areas))
	var looking sync.WaitGroup
	for i, look := range areas {
		looking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, examinationPatience)
			defer cancel()
			byArea[i] = look(ctx, e)
		})
	}
	looking.Wait()
	for _, some := range byArea {
		found = append(found, some...)
	}
	return found
}

func countVerdicts(found []finding) (warnings, wrong int) {
	for _, f := range found {
		switch f.Verdict {
		case verdictWarning:
			warnings++
		case verdictFailed:
			wrong++
		}
	}
	return warnings, wrong
}

// writeFindings puts what to do below what was found.
func writeFindings(table io.Writer, found []finding) {
	for _, f := range found {
		lines := strings.Split(strings.TrimSpace(f.Found), "\n")
		if f.Mend != "" {
			lines = append(lines, "=> "+f.Mend)
		}
		verdict, check := f.Verdict, f.Check
		if verdict == verdictFailed {
			verdict = "FAILED"
		}
		for _, line := range lines {
			fmt.Fprintf(table, "%s\t%s\t%s\n", verdict, check, strings.TrimSpace(line))
			verdict, check = "", ""
		}
	}
	warnings, wrong := countVerdicts(found)
	switch {
	case wrong > 0:
		fmt.Fprintf(table, "%d of %d checks failed, %d warnings\n", wrong, len(found), warnings)
	case warnings > 0:
		fmt.Fprintf(table, "%d checks, %d warnings\n", len(found), warnings)
	default:
		fmt.Fprintf(table, "%d checks, nothing is wrong\n", len(found))
	}
}

// lateAnswer makes of the end of an area's time a text that says so.
func lateAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", examinationPatience, err)
	}
	return err
}
