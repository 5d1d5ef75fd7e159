package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// release says what to build.
type release struct {
	// source is the folder of the module.
	source string
	// version is the image's tag and what "irene version" prints, revision the commit.
	version, revision string
	// created is the time that the image tells.
	created   time.Time
	platforms []v1.Platform
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

// command builds and pushes as args say.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.SetOutput(stderr)
	r := release{}
	repository := flags.String("repository", "", "where to push, `HOST/PATH` without a tag (required)")
	flags.StringVar(&r.source, "source", ".", "folder of the module")
	flags.StringVar(&r.version, "version", "", "version, which becomes the tag (required)")
	flags.StringVar(&r.revision, "revision", "", "commit of the source, for the image's labels")
	platforms := flags.String("platforms", "linux/"+runtime.GOARCH, "platforms with commas between; several make an index")
	plainHTTP := flags.Bool("plain-http", false, "allow HTTP without TLS; on loopback it always is")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *repository == "":
		return errors.New("--repository: is missing; make images REGISTRY=registry.example")
	case r.version == "":
		return errors.New("--version: is missing")
	}
	for text := range strings.SplitSeq(*platforms, ",") {
		platform, err := v1.ParsePlatform(strings.TrimSpace(text))
		if err != nil || platform.OS != "linux" || platform.Architecture == "" {
			return fmt.Errorf("--platforms: %q is not linux/ARCHITECTURE", text)
		}
		r.platforms = append(r.platforms, *platform)
	}
	var err error
	if r.created, err = sourceDate(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	target, err := newTarget(*repository, r.version, *plainHTTP)
	if err != nil {
		return err
	}
	built, err := build(ctx, r, stderr)
	if err != nil {
		return err
	}
	return target.push(ctx, built, stdout)
}

// sourceDate is the time that reproducible builds agree on, in seconds since 1970; the
// beginning of it without one.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
