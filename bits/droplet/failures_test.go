package droplet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/irene-cf/irene/bits/droplet"
)

var (
	errBroken    = errors.New("it broke")
	compressions = []droplet.Compression{droplet.Gzip, droplet.Zstd}
)

// leavesNothing fails the test when it leaves a goroutine behind.
func leavesNothing(t *testing.T) {
	before := gleak.Goroutines()
	t.Cleanup(func() { NewWithT(t).Eventually(gleak.Goroutines, 10*time.Second).ShouldNot(gleak.HaveLeaked(before)) })
}

func TestReadingFails(t *testing.T) {
	leavesNothing(t)
	g := NewWithT(t)
	plain := mixed(t)
	packed := zip(t, plain)
	refused := zip(t, archive(t, file("../a", "x")))
	for _, compression := range compressions {
		for _, size := range []int{0, 1, 100, 100_000, len(packed) - 1, len(packed)} {
			source := io.MultiReader(bytes.NewReader(packed[:size]), iotest.ErrReader(errBroken))
			var blob bytes.Buffer
			_, err := droplet.Convert(context.Background(), source, &blob, droplet.Options{Compression: compression})
			g.Expect(err).To(MatchError(droplet.ErrSource))
			g.Expect(err).To(MatchError(errBroken))
			g.Expect(err).NotTo(MatchError(droplet.ErrRefused))
			expectIncomplete(t, compression, blob.Bytes())
		}
		// A reader's own end is not the droplet's, neither within nor after it.
		for _, end := range []error{io.ErrUnexpectedEOF, fmt.Errorf("the connection was lost: %w", io.EOF)} {
			for _, whole := range [][]byte{packed[:50_000], packed, plain[:50_000], plain[:1024], plain} {
				_, err := droplet.Convert(context.Background(), io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(end)), io.Discard, droplet.Options{Compression: compression})
				g.Expect(err).To(MatchError(droplet.ErrSource))
				g.Expect(err).To(MatchError(end))
				g.Expect(err).NotTo(MatchError(droplet.ErrRefused))
			}
		}

		// What is refused might not be the promised droplet, and there's no telling.
		_, err := droplet.Convert(context.Background(), io.MultiReader(bytes.NewReader(refused), iotest.ErrReader(errBroken)), io.Discard,
			droplet.Options{Compression: compression, Expect: promise(refused)})
		g.Expect(err).To(MatchError(droplet.ErrSource))
		g.Expect(err).NotTo(MatchError(droplet.ErrRefused))
	}
}

// brokenSink takes so many bytes, and then fails or takes less than it was given.
type brokenSink struct {
	left  int
	short bool
}

func (s *brokenSink) Write(p []byte) (int, error) {
	if len(p) <= s.left {
		s.left -= len(p)
		return len(p), nil
	}
	if s.short {
		return s.left, nil
	}
	return s.left, errBroken
}

func TestWritingFails(t *testing.T) {
	leavesNothing(t)
	g := NewWithT(t)
	packed := zip(t, mixed(t))
	for _, compression := range compressions {
		layer, _, err := convert(t, packed, droplet.Options{Compression: compression})
		g.Expect(err).NotTo(HaveOccurred())
		for _, size := range []int64{0, 9, 10, 50_000, layer.Size - 1} {
			for _, o := range []droplet.Options{{}, {Expect: promise(packed)}, {Parallel: 1}} {
				o.Compression = compression
				_, err := droplet.Convert(context.Background(), bytes.NewReader(packed), &brokenSink{left: int(size)}, o)
				g.Expect(err).To(MatchError(droplet.ErrSink))
				g.Expect(err).To(MatchError(errBroken))
				_, err = droplet.Convert(context.Background(), bytes.NewReader(packed), &brokenSink{left: int(size), short: true}, o)
				g.Expect(err).To(And(MatchError(droplet.ErrSink), MatchError(io.ErrShortWrite)))
			}
		}
		_, err = droplet.Convert(context.Background(), bytes.NewReader(packed), &brokenSink{left: int(layer.Size)}, droplet.Options{Compression: compression})
		g.Expect(err).NotTo(HaveOccurred())
	}
}

// expectIncomplete checks that nobody can take what was written for a layer.
func expectIncomplete(t *testing.T, compression droplet.Compression, blob []byte) {
	t.Helper()
	as := types.OCILayer
	if compression == droplet.Zstd {
		as = types.OCILayerZStd
	}
	r, err := decompressor(as, blob)
	if err != nil {
		return
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); err == nil && n > 0 {
		t.Fatalf("%d bytes of %s are complete", n, compression)
	}
}

func TestWhatIsRefusedIsNeverComplete(t *testing.T) {
	leavesNothing(t)
	whole := zip(t, mixed(t))
	late := zip(t, append(mixed(t), "garbage"...))
	for _, compression := range compressions {
		for _, example := range []struct {
			packed []byte
			o      droplet.Options
		}{
			{whole, droplet.Options{Expect: promise(late)}},
			{late, droplet.Options{}},
			{late, droplet.Options{Expect: promise(late)}},
			{zip(t, archive(t, file("a", "A"), file("../b", "B"))), droplet.Options{}},
		} {
			example.o.Compression = compression
			var blob bytes.Buffer
			_, err := droplet.Convert(context.Background(), bytes.NewReader(example.packed), &blob, example.o)
			NewWithT(t).Expect(err).To(HaveOccurred())
			expectIncomplete(t, compression, blob.Bytes())
		}
	}
}

// untilEnd is a source or a sink that says when it is used and fails when ctx
// ends, as HTTP bodies do.
type untilEnd struct {
	ctx  context.Context
	used chan struct{}
}

func (u untilEnd) wait() (int, error) {
	close(u.used)
	<-u.ctx.Done()
	return 0, errors.New("the connection was closed")
}

func (u untilEnd) Read([]byte) (int, error)  { return u.wait() }
func (u untilEnd) Write([]byte) (int, error) { return u.wait() }

// endless is a gzip stream without an end: a file of 4 GiB, in members of 1 MiB.
type endless struct {
	left, member []byte
	members      int
	used         chan struct{}
}

func newEndless(t *testing.T, used chan struct{}) *endless {
	return &endless{left: zip(t, block('0', "app/zeros", 1<<32)), member: zip(t, make([]byte, 1<<20)), used: used}
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.left) == 0 {
		if e.members++; e.members == 32 {
			close(e.used)
		}
		e.left = e.member
	}
	n := copy(p, e.left)
	e.left = e.left[n:]
	return n, nil
}

func TestContextEnds(t *testing.T) {
	leavesNothing(t)
	packed := zip(t, mixed(t))
	for _, compression := range compressions {
		for what, start := range map[string]func(ctx context.Context, used chan struct{}) (io.Reader, io.Writer){
			"while the source is waited for": func(ctx context.Context, used chan struct{}) (io.Reader, io.Writer) {
				return io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), untilEnd{ctx, used}), io.Discard
			},
			"while the sink is waited for": func(ctx context.Context, used chan struct{}) (io.Reader, io.Writer) {
				return bytes.NewReader(packed), untilEnd{ctx, used}
			},
			"while there is much to do": func(_ context.Context, used chan struct{}) (io.Reader, io.Writer) {
				return newEndless(t, used), io.Discard
			},
		} {
			t.Run(string(compression)+" "+what, func(t *testing.T) {
				leavesNothing(t)
				g := NewWithT(t)
				ctx, cancel := context.WithCancelCause(context.Background())
				used, ended := make(chan struct{}), make(chan error, 1)
				from, to := start(ctx, used)
				go func() {
					_, err := droplet.Convert(ctx, from, to, droplet.Options{Compression: compression})
					ended <- err
				}()
				g.Eventually(used, time.Minute).Should(BeClosed())
				cancel(errBroken)
				var err error
				g.Eventually(ended, 10*time.Second).Should(Receive(&err))
				g.Expect(err).To(MatchError(errBroken))
				for _, other := range []error{droplet.ErrRefused, droplet.ErrChecksum, droplet.ErrSource, droplet.ErrSink} {
					g.Expect(err).NotTo(MatchError(other))
				}
			})
		}
	}
}

func TestContextHasEnded(t *testing.T) {
	leavesNothing(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := droplet.Convert(ctx, iotest.ErrReader(errBroken), &brokenSink{}, droplet.Options{})
	NewWithT(t).Expect(err).To(MatchError(context.Canceled))
	NewWithT(t).Expect(err).NotTo(MatchError(errBroken))
}
