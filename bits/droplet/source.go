package droplet

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/irene-cf/irene/opi"
)

const (
	algorithmSHA1   = "sha1"
	algorithmSHA256 = "sha256"

	readBytes = 64 << 10
)

// source reads the droplet once and digests it on the way. Its fields may be read
// when run has ended.
type source struct {
	sha1, sha256 hash.Hash
	size         int64
	// err is nil when the droplet was read to its end.
	err error
}

func newSource() *source { return &source{sha1: sha1.New(), sha256: sha256.New()} }

// run hands the droplet on until its end, to.closeRead, or more than limit bytes.
func (s *source) run(ctx context.Context, droplet io.Reader, limit int64, to *pipe) {
	s.err = s.copy(ctx, droplet, limit, to)
	to.closeWrite(s.err)
}

func (s *source) copy(ctx context.Context, droplet io.Reader, limit int64, to *pipe) error {
	buffer := make([]byte, readBytes)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, readErr := droplet.Read(buffer)
		if s.size += int64(n); s.size > limit {
			return refuse("", "has more than %d bytes, which is the limit", limit)
		}
		// A Hash never fails.
		_, _ = s.sha1.Write(buffer[:n])
		_, _ = s.sha256.Write(buffer[:n])
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return fmt.Errorf("%w: %w", ErrSource, readErr)
		}
	}
}

// judge says what a conversion's outcome err means in the light of what was
// promised of the droplet.
func (s *source) judge(err error, promised []opi.Checksum) error {
	if len(promised) == 0 || err != nil && !errors.Is(err, ErrRefused) {
		return err
	}
	if s.err != nil {
		// The content can't be blamed: it may not be the promised one.
		return s.err
	}
	mismatch := s.check(promised)
	if mismatch != nil && err != nil {
		// %v, for nobody must take this for a refusal.
		return fmt.Errorf("%w; and %v", mismatch, err)
	}
	if mismatch != nil {
		return mismatch
	}
	return err
}

func (s *source) check(promised []opi.Checksum) error {
	found := map[string]string{algorithmSHA1: s.hexSHA1(), algorithmSHA256: s.hexSHA256()}
	for _, checksum := range promised {
		want, got := strings.ToLower(checksum.Value), found[checksum.Algorithm]
		if want != got {
			return &Mismatch{Algorithm: checksum.Algorithm, Promised: want, Found: got}
		}
	}
	return nil
}

func (s *source) hexSHA1() string   { return hex.EncodeToString(s.sha1.Sum(nil)) }
func (s *source) hexSHA256() string { return hex.EncodeToString(s.sha256.Sum(nil)) }
