package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

// cloudControllerOptions are the command line of "cloudcontroller".
type cloudControllerOptions struct {
	// address is where Irene and the pods of builds reach it, host:port; control where
	// "push" does, and Irene for droplets.
	address, control string
	// content is the folder of all that it keeps.
	content string
	// certificates is the folder of the certificates that it serves and uploads with.
	certificates string
	// fileserver is the web server that the static buildpack supplies.
	fileserver string
}

// Folders in content.
const (
	// dropletsFolder holds <droplet guid>/<SHA-1>, as blobstores do.
	dropletsFolder = "droplets"
	// blobsFolder is the stand-in's own: packages, caches and what is being uploaded. It
	// begins empty.
	blobsFolder = "blobs"
)

func parseCloudControllerOptions(args []string) (cloudControllerOptions, error) {
	var o cloudControllerOptions
	flags := flag.NewFlagSet("cloudcontroller", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.address, "address", "", "")
	flags.StringVar(&o.control, "control", "", "")
	flags.StringVar(&o.content, "content", "", "")
	flags.StringVar(&o.certificates, "certificates", "", "")
	flags.StringVar(&o.fileserver, "fileserver", "", "")
	return o, parseAll(flags, args, "address", "control", "content", "certificates", "fileserver")
}

// arguments are the command line of which these are the options.
func (o cloudControllerOptions) arguments() []string {
	return []string{"cloudcontroller", "--address", o.address, "--control", o.control, "--content", o.content,
		"--certificates", o.certificates, "--fileserver", o.fileserver}
}

// tls names the files for mutual TLS.
func (o cloudControllerOptions) tls() *standin.TLS {
	file := func(name string) string { return filepath.Join(o.certificates, name) }
	return &standin.TLS{
		CertificateFile: file(cloudControllerCertificate + ".crt"), KeyFile: file(cloudControllerCertificate + ".key"),
		AuthorityFile:           file(authorityName + ".crt"),
		UploaderCertificateFile: file(uploaderCertificate + ".crt"), UploaderKeyFile: file(uploaderCertificate + ".key"),
	}
}

// cloudController plays Cloud Controller, its uploader and its blobstore until ctx ends.
// Droplets outlive it; builds that are under way, and build caches, don't.
func cloudController(ctx context.Context, o cloudControllerOptions, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(out, nil))
	blobs := filepath.Join(o.content, blobsFolder)
	// Nobody knows any more what an earlier life has left there.
	if err := errors.Join(os.RemoveAll(blobs), os.MkdirAll(blobs, 0o700)); err != nil {
		return fmt.Errorf("cloudcontroller: --content: %w", err)
	}
	server, err := standin.Start(standin.Options{Listen: o.address, Folder: blobs, TLS: o.tls(), Answered: logReports(log)})
	if err != nil {
		return fmt.Errorf("cloudcontroller: %w", err)
	}
	defer server.Close()
	if err := addBuildpacks(server, o.fileserver); err != nil {
		return fmt.Errorf("cloudcontroller: %w", err)
	}
	listener, err := net.Listen("tcp", o.control)
	if err != nil {
		return fmt.Errorf("cloudcontroller: --control: %w", err)
	}
	desk := &controlDesk{server: server, droplets: filepath.Join(o.content, dropletsFolder), log: log, files: map[string]string{}}
	control := &http.Server{Handler: desk.handler(), ReadHeaderTimeout: 10 * time.Second}
	// Whoever is cut off asks again.
	stop := context.AfterFunc(ctx, func() { _ = control.Close() })
	defer stop()
	log.Info("Cloud Controller's stand-in is ready", "url", server.URL(), "control", listener.Addr().String(), "content", o.content)
	if err := control.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cloudcontroller: %w", err)
	}
	log.Info("Cloud Controller's stand-in stops")
	return nil
}

// logReports logs what Irene reports of instances, and its downloads of droplets.
func logReports(log *slog.Logger) func(standin.Request) {
	return func(r standin.Request) {
		switch r.Endpoint {
		case standin.AppCrashed, standin.AppRescheduling, standin.AppReadinessChanged:
			log.Info(string(r.Endpoint), "process", r.GUID, "status", r.Status, "report", string(r.Body))
		case standin.DropletDownload:
			log.Info("droplet", "process", r.GUID, "status", r.Status)
		}
	}
}

// addBuildpacks adds the sample buildpacks in the order in which they detect.
func addBuildpacks(server *standin.Server, fileserver string) error {
	program, err := os.ReadFile(fileserver)
	if err != nil {
		return fmt.Errorf("--fileserver: %w", err)
	}
	for _, sample := range []struct {
		name string
		more []buildpack.File
	}{
		{buildpack.Static, []buildpack.File{{Name: "bin/fileserver", Content: program}}},
		{buildpack.Classic, nil},
		// It wants no app for itself.
		{buildpack.Toolbox, []buildpack.File{{Name: "bin/detect", Content: []byte("#!/bin/sh\nexit 1\n")}}},
	} {
		packed, err := buildpack.Zip(sample.name, sample.more...)
		if err != nil {
			return err
		}
		if _, err := server.AddBuildpack(sample.name, sample.name+"-buildpack", "", bytes.NewReader(packed)); err != nil {
			return err
		}
	}
	return nil
}
