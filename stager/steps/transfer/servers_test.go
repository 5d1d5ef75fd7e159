package transfer

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
)

// hasty is patience for tests.
func hasty() Patience {
	return Patience{Outage: time.Minute, ShortOutage: time.Minute, Downloads: 4, Pause: time.Millisecond, LongestPause: 5 * time.Millisecond, Stall: 5 * time.Second, Answer: 5 * time.Second, Poll: time.Millisecond}
}

// impatient gives up soon on a server that is away.
func impatient() Patience {
	patience := hasty()
	patience.Outage, patience.ShortOutage = 50*time.Millisecond, 50*time.Millisecond
	return patience
}

func client(t testing.TB, files steps.TLSFiles, patience Patience) *Client {
	t.Helper()
	return loggingClient(t, files, patience, io.Discard)
}

func loggingClient(t testing.TB, files steps.TLSFiles, patience Patience, log io.Writer) *Client {
	t.Helper()
	c, err := NewClient(files, nil, patience, steps.NewUserLog(log))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(c.Close)
	return c
}

// download fetches into memory by way of a file.
func download(t testing.TB, c *Client, d Download) (string, error) {
	t.Helper()
	return downloadWith(context.Background(), t, c, d)
}

func downloadWith(ctx context.Context, t testing.TB, c *Client, d Download) (string, error) {
	t.Helper()
	g := NewWithT(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	g.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	_, err = file.WriteString("left over from before, and longer than what comes now")
	g.Expect(err).NotTo(HaveOccurred())
	if d.What == "" {
		d.What = "the app package"
	}
	if d.MaxBytes == 0 {
		d.MaxBytes = 1 << 20
	}
	size, err := c.Download(ctx, d, file)
	text, readErr := os.ReadFile(file.Name())
	g.Expect(readErr).NotTo(HaveOccurred())
	if err == nil {
		g.Expect(size).To(BeEquivalentTo(len(text)))
	}
	return string(text), err
}

func section(content string) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader([]byte(content)), 0, int64(len(content)))
}
