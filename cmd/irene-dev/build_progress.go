package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

const (
	// quiet is after how much silence a line says what is being waited for.
	quiet = 5 * time.Second
	// logPatience is how long the log may take to end after the outcome is known.
	logPatience = 5 * time.Second
)

// watchBuild shows a build's log and what it waits for until the outcome is known, and
// returns how long the steps took as well, in words. It owns two goroutines, which have
// ended when it returns.
func (c *cloud) watchBuild(ctx context.Context, guid string, out io.Writer) (build standin.Build, times string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := make(chan buildNews)
	tell := func(n buildNews) {
		select {
		case news <- n:
		case <-ctx.Done():
		}
	}
	followed := make(chan error, 1)
	go func() { followed <- (&buildLog{client: c.client, guid: guid, tell: tell}).follow(ctx) }()
	type outcome struct {
		build standin.Build
		err   error
	}
	ended := make(chan outcome, 1)
	go func() {
		build, err := c.waitForBuild(ctx, guid)
		ended <- outcome{build, err}
	}()
	display := progress{out: out, began: time.Now(), heard: time.Now()}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var result *outcome
	var drain <-chan time.Time
	for result == nil || followed != nil {
		select {
		case n := <-news:
			display.show(n, time.Now())
		case now := <-ticker.C:
			display.remind(now)
		case err := <-followed:
			followed = nil
			display.broken(err)
		case end := <-ended:
			ended, result = nil, &end
			drain = time.After(logPatience)
		case <-drain:
			drain = nil
			cancel()
		}
		if result != nil && result.err != nil {
			cancel()
		}
	}
	if len(display.times) == 0 {
		display.times = append(display.times, "the log was not seen")
	}
	return result.build, strings.Join(display.times, ", "), result.err
}

// progress writes what is heard of a build.
type progress struct {
	out io.Writer
	// began is when the build was asked for, heard when a line was written last.
	began, heard time.Time
	waiting      string
	// times are the steps' own.
	times []string
}

func (p *progress) show(n buildNews, now time.Time) {
	if n.step == "" {
		p.waiting = n.waiting
		return
	}
	if n.took > 0 {
		p.times = append(p.times, fmt.Sprintf("%s %.1f s", n.step, n.took.Seconds()))
		return
	}
	fmt.Fprintf(p.out, "  %-5s | %s\n", n.step, n.line)
	p.heard = now
}

// remind says after a silence what is being waited for.
func (p *progress) remind(now time.Time) {
	if now.Sub(p.heard) < quiet || p.waiting == "" {
		return
	}
	fmt.Fprintf(p.out, "  ... %.0f s: %s\n", now.Sub(p.began).Seconds(), p.waiting)
	p.heard = now
}

// broken says that the log could not be followed: the build goes on.
func (p *progress) broken(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errPodGone) {
		p.waiting = "waiting for Cloud Controller's stand-in to hear of the outcome"
		return
	}
	fmt.Fprintf(p.out, "  (no more of the log: %v)\n", err)
}
