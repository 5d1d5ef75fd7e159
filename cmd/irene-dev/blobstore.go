package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// blobstoreOptions are the command line of "blobstore".
type blobstoreOptions struct {
	// address to listen on, host:port.
	address string
	// content is the folder that is served.
	content string
}

func parseBlobstoreOptions(args []string) (blobstoreOptions, error) {
	var o blobstoreOptions
	flags := flag.NewFlagSet("blobstore", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.address, "address", "", "")
	flags.StringVar(&o.content, "content", "", "")
	return o, parseAll(flags, args, "address", "content")
}

// arguments are the command line of which these are the options.
func (o blobstoreOptions) arguments() []string {
	return []string{"blobstore", "--address", o.address, "--content", o.content}
}

// blobstore serves droplets as files, with ranges and times as blobstores have them,
// until ctx ends. Each request is logged, so that it shows when a droplet was fetched.
func blobstore(ctx context.Context, o blobstoreOptions, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(out, nil))
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return fmt.Errorf("blobstore: %w", err)
	}
	files := http.FileServer(http.Dir(o.content))
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" { // that is only asked for whether it answers
				log.Info("request", "method", r.Method, "path", r.URL.Path, "range", r.Header.Get("Range"))
			}
			files.ServeHTTP(w, r)
		}),
	}
	// Whoever is cut off fetches again.
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	log.Info("blobstore is ready", "address", listener.Addr().String(), "content", o.content)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("blobstore: %w", err)
	}
	log.Info("blobstore stops")
	return nil
}
