package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps"
)

// cancelPatience is for taking back what nobody waits for any more.
const cancelPatience = 10 * time.Second

// pushing is a push under way. Each step finds what those before it have filled in.
type pushing struct {
	*cloud
	pushOptions
	out io.Writer

	// archive is the packed source code, a file that is gone from its folder.
	archive *os.File
	bytes   int64
	// digest is its SHA-256, packageGUID its guid.
	digest, packageGUID string
	build               standin.Build
	app                 pushedApp
}

// pack makes the app package.
func (p *pushing) pack(context.Context) (string, error) {
	if err := os.MkdirAll(p.at(scratchName), 0o755); err != nil {
		return "", err
	}
	var err error
	if p.archive, err = os.CreateTemp(p.at(scratchName), "package-"); err != nil {
		return "", err
	}
	if err := os.Remove(p.archive.Name()); err != nil {
		return "", err
	}
	sum := sha256.New()
	packed, err := archiveSource(p.source, io.MultiWriter(p.archive, sum))
	if err != nil {
		return "", err
	}
	p.digest = hex.EncodeToString(sum.Sum(nil))
	if p.bytes, err = p.archive.Seek(0, io.SeekCurrent); err != nil {
		return "", err
	}
	_, err = p.archive.Seek(0, io.SeekStart)
	files := "1 file"
	if packed.files != 1 {
		files = fmt.Sprintf("%d files", packed.files)
	}
	return fmt.Sprintf("%s, %s, packed %s", files, steps.Size(packed.bytes), steps.Size(p.bytes)), err
}

func (p *pushing) removePackage() {
	if p.archive != nil {
		_ = p.archive.Close() // it was read only
	}
}

func (p *pushing) upload(ctx context.Context) (string, error) {
	p.packageGUID = cloudcontroller.NewGUID()
	return "to Cloud Controller's stand-in", p.uploadPackage(ctx, p.packageGUID, p.archive, p.bytes)
}

// stage asks Irene for the build and shows it until Cloud Controller's stand-in was told
// of its outcome.
func (p *pushing) stage(ctx context.Context) (string, error) {
	started, err := p.newBuild(ctx, p.door, standin.Build{
		AppGUID: appGUID(p.name), AppName: p.name, Package: p.packageGUID, Stack: stackName, Buildpacks: p.buildpacks, Environment: p.environment,
	})
	if err != nil {
		return "", err
	}
	times, err := p.askAndWatch(ctx, started)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		return "", errors.Join(err, p.cancelBuild(context.WithoutCancel(ctx), started.GUID))
	}
	if p.build.State != standin.Staged {
		return "", fmt.Errorf("%s: %s", p.build.ErrorID, p.build.ErrorMessage)
	}
	return fmt.Sprintf("droplet of %s with %s; %s", steps.Size(p.build.Droplet.Blob.Size), describeProcesses(p.build.ProcessTypes), times), nil
}

func (p *pushing) askAndWatch(ctx context.Context, started startedBuild) (times string, err error) {
	door, err := p.frontDoor(p.door)
	if err != nil {
		return "", err
	}
	if err := door.Stage(ctx, started.GUID, started.Request); err != nil {
		return "", p.seeLog(err)
	}
	fmt.Fprintln(p.out)
	p.build, times, err = p.watchBuild(ctx, started.GUID, p.out)
	return times, err
}

// cancelBuild takes a build back; one that has ended is no error.
func (p *pushing) cancelBuild(ctx context.Context, guid string) error {
	ctx, cancel := context.WithTimeout(ctx, cancelPatience)
	defer cancel()
	door, err := p.frontDoor(p.door)
	if err == nil {
		err = door.StopStaging(ctx, guid)
	}
	if err != nil {
		return fmt.Errorf("cancel the build: %w", err)
	}
	return nil
}

func describeProcesses(processes map[string]string) string {
	var described []string
	for _, name := range slices.Sorted(maps.Keys(processes)) {
		described = append(described, fmt.Sprintf("%s %q", name, processes[name]))
	}
	return strings.Join(described, ", ")
}
