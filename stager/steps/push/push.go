package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

// Run hands everything over and returns what it did. The droplet is nil unless it is
// stored in both places.
func Run(ctx context.Context, config steps.PushConfig, store steps.DropletStore, log *steps.UserLog, patience transfer.Patience) (*steps.OutcomeDroplet, []steps.Phase, error) {
	client, err := transfer.NewClient(config.TLS, nil, patience, log)
	if err != nil {
		return nil, nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
	}
	defer client.Close()
	p := &pusher{config: config, limits: config.Limits.WithDefaults(), client: client, store: store, log: log}
	stored, err := p.run(ctx)
	return stored, p.phases, err
}

type pusher struct {
	config steps.PushConfig
	limits steps.Limits
	client *transfer.Client
	store  steps.DropletStore
	log    *steps.UserLog

	mutex  sync.Mutex
	phases []steps.Phase
}

func (p *pusher) run(ctx context.Context) (*steps.OutcomeDroplet, error) {
	result, err := p.result()
	if err != nil {
		return nil, err
	}
	file, size, err := p.open(steps.DropletFile, p.limits.ArchiveBytes)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The size is the one that was checked, whatever becomes of the file.
	droplet := func() *io.SectionReader { return io.NewSectionReader(file, 0, size) }
	sums, err := computeDigests(ctx, droplet())
	if err != nil {
		return nil, steps.Because(steps.BadOutput, err, "failed to read the droplet")
	}
	described := steps.Droplet{Size: size, SHA1: hex.EncodeToString(sums.sha1), SHA256: hex.EncodeToString(sums.sha256), Stack: p.config.Stack, Result: result}

	p.log.Line("Uploading droplet... %s", steps.Size(size))
	var manifest string
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		began := time.Now()
		upload := transfer.Upload{What: "the droplet", URL: p.config.DropletURL, Content: droplet(), MD5: sums.md5, SHA256: sums.sha256}
		if err := p.client.Upload(ctx, upload); err != nil {
			return steps.Because(steps.UploadFailed, err, "failed to upload")
		}
		p.done("upload", began, size)
		return nil
	})
	group.Go(func() error {
		began := time.Now()
		var digest string
		err := p.client.Retry(ctx, p.client.Patience().Outage, func() (err error) {
			digest, err = p.store.Push(ctx, droplet(), described)
			return err
		}, func(err error) bool {
			var final *steps.Failure
			return errors.Is(err, opi.ErrUnavailable) && !errors.As(err, &final)
		})
		if errors.Is(err, opi.ErrRefused) {
			return steps.Because(steps.BadOutput, err, "the droplet can't be used")
		}
		if err != nil {
			return steps.Because(steps.RegistryFailed, err, "failed to store the droplet in the registry")
		}
		manifest = digest
		p.done("registry", began, size)
		return nil
	})
	if p.config.CacheURL != "" {
		group.Go(func() error { return p.cache(ctx) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	p.log.Line("Uploaded droplet (%s)", steps.Size(size))
	p.log.Line("Uploading complete")
	resultSum := sha256.Sum256(result)
	return &steps.OutcomeDroplet{
		Bytes:    size,
		SHA1:     described.SHA1,
		SHA256:   described.SHA256,
		Manifest: manifest,
		Result:   "sha256:" + hex.EncodeToString(resultSum[:]),
	}, nil
}

// result reads the build's result and writes it anew.
func (p *pusher) result() ([]byte, error) {
	file, size, err := p.open(steps.ResultFile, steps.MaxResultBytes)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return nil, fmt.Errorf("read the build's result: %w", err)
	}
	result, err := steps.ParseResult(text)
	if err != nil {
		return nil, steps.Because(steps.BadOutput, err, "the build left a %s that can't be used", steps.ResultFile)
	}
	if text, err = result.Text(); err != nil {
		return nil, steps.Because(steps.BadOutput, err, "the build left a %s that can't be used", steps.ResultFile)
	}
	return text, nil
}

// cache sends the build cache. Without one the next build just takes longer.
func (p *pusher) cache(ctx context.Context) error {
	began := time.Now()
	file, size, err := p.open(steps.CacheFile, p.limits.ArchiveBytes)
	if err == nil {
		defer file.Close()
		p.log.Line("Uploading build artifacts cache... %s", steps.Size(size))
		var sums digests
		if sums, err = computeDigests(ctx, io.NewSectionReader(file, 0, size)); err == nil {
			upload := transfer.Upload{What: "the build artifacts cache", URL: p.config.CacheURL, Optional: true, Content: io.NewSectionReader(file, 0, size), MD5: sums.md5, SHA256: sums.sha256}
			err = p.client.Upload(ctx, upload)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		p.log.Line("The build artifacts cache is not kept: %v", err)
		return nil
	}
	p.log.Line("Uploaded build artifacts cache (%s)", steps.Size(size))
	p.done("cache", began, size)
	return nil
}

// open opens one of the build's results.
func (p *pusher) open(name string, limit int64) (*os.File, int64, error) {
	file, info, err := openOutput(p.config.Workspace, path.Join(steps.OutFolder, name), limit)
	if err != nil {
		return nil, 0, err
	}
	if info.Size() == 0 {
		return nil, 0, errors.Join(steps.Fail(steps.BadOutput, "the build left an empty %s", name), file.Close())
	}
	return file, info.Size(), nil
}

func (p *pusher) done(name string, began time.Time, size int64) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.phases = append(p.phases, steps.Since(name, began, size))
}
