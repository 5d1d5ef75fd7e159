package bits

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
)

// DropletPush is what is known of a droplet that is pushed.
type DropletPush struct {
	// Stack is the name of the stack that the droplet was built on; "" when that is
	// not known. What is not known stays as an earlier push has told it.
	Stack string
	// Result is the build's result.json, an object of at most MaxResultBytes; nil
	// when that is not known.
	Result []byte
	// Conversion says how the layer is made. Its Expect are the checksums that were
	// promised of the droplet: content with others is not accepted, and a droplet
	// that the registry has by one of them is not read at all.
	Conversion droplet.Options
	// Renew reads and sends the droplet although the registry says that it has it.
	Renew bool
	// AsBuild is for a build, which may not replace tags: a tag that names another
	// manifest stays, and the new manifest is stored under its digest alone until
	// Registry.TagDroplet. What the registry has under the droplet's tags counts only if
	// the content converts to the same layer, since another build may have put it there.
	AsBuild bool
}

// PushDroplet turns a droplet into a layer while it is read, sends it as it is made,
// and then writes its manifest, tagged by SHA-256 and SHA-1. Nothing is buffered as
// a whole, unless the registry refuses blobs of unknown size: then the layer goes
// through a file in SpoolDir.
//
// Content that is an io.ReadSeeker is read again when the sending failed on the way,
// or the registry turned out to refuse streams; and before anything else when no
// checksum is promised, to find out whether the registry has the droplet. Then, and
// with Expect, a second push of a droplet sends no blob. A Read of content that is
// under way when ctx ends is waited for.
//
// The error wraps opi.ErrRefused where the droplet is at fault or is not the promised
// one, opi.ErrUnavailable where the registry is. Then no tag was written (or, when
// only the last request failed, one of two), and what was sent is left for the
// registry to collect.
func (r *Registry) PushDroplet(ctx context.Context, content io.Reader, push DropletPush) (StoredDroplet, error) {
	seeker, _ := content.(io.ReadSeeker)
	if seeker != nil && len(push.Conversion.Expect) == 0 && !push.Renew {
		checksum, err := checksumOf(ctx, seeker)
		if err != nil {
			return StoredDroplet{}, fmt.Errorf("push droplet: %w", err)
		}
		push.Conversion.Expect = []opi.Checksum{checksum}
	}
	first := true
	return r.pushDroplet(ctx, push, func() (io.ReadCloser, error) {
		if first {
			first = false
			return io.NopCloser(content), nil
		}
		if seeker == nil {
			return nil, errReadOnce
		}
		_, err := seeker.Seek(0, io.SeekStart)
		return io.NopCloser(content), err
	})
}

// errReadOnce says that content can't be had again.
var errReadOnce = errors.New("the droplet can be read only once")

// checksumOf reads content to its end and goes back to its start.
func checksumOf(ctx context.Context, content io.ReadSeeker) (opi.Checksum, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, contextReader{ctx, content}); err != nil {
		return opi.Checksum{}, err
	}
	_, err := content.Seek(0, io.SeekStart)
	return opi.Checksum{Algorithm: "sha256", Value: hex.EncodeToString(sum.Sum(nil))}, err
}

// contextReader fails between reads when ctx has ended.
type contextReader struct {
	ctx   context.Context
	inner io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.inner.Read(p)
}

// pushDroplet is PushDroplet with content that open gives, each time from the start,
// or errReadOnce.
func (r *Registry) pushDroplet(ctx context.Context, push DropletPush, open func() (io.ReadCloser, error)) (StoredDroplet, error) {
	doing := "push droplet"
	if len(push.Conversion.Expect) > 0 {
		doing += " " + push.Conversion.Expect[0].Value
	}
	result, err := push.result()
	if err != nil {
		return StoredDroplet{}, fmt.Errorf("%s: %w", doing, err)
	}
	stored, found, err := r.storedDroplet(ctx, push.Conversion.Expect)
	if err != nil {
		return StoredDroplet{}, fmt.Errorf("%s: %w", doing, err)
	}
	if found && push.AsBuild {
		if found, err = convertsTo(ctx, push.Conversion, open, stored.Layer.Digest); err != nil {
			return StoredDroplet{}, r.failed(doing, asRefusal(err))
		}
	}
	if !found {
		stored = StoredDroplet{}
	}
	send := !found || push.Renew
	if !send {
		// Its manifest says so, and the layer may be lost all the same.
		kept, err := r.hasBlob(ctx, stored.Layer.Digest)
		if err != nil {
			return StoredDroplet{}, r.failed(doing, err)
		}
		send = !kept
	}
	if send {
		layer, err := r.sendDroplet(ctx, push.Conversion, open)
		if err != nil {
			return StoredDroplet{}, r.failed(doing, asRefusal(err))
		}
		if found && result == nil {
			// What else was stored of the droplet may be lost too.
			result = r.resultOrNone(ctx, stored.Result.Digest)
		}
		stored.SHA1, stored.SHA256, stored.DiffID = layer.SHA1, layer.SHA256, layer.DiffID
		stored.Layer = v1.Descriptor{MediaType: layer.MediaType, Size: layer.Size, Digest: layer.Digest}
	}
	if !found && result == nil {
		result = noResult
	}
	if push.Stack != "" {
		stored.Stack = push.Stack
	}
	if result != nil {
		stored.Result = v1.Descriptor{MediaType: ResultType, Size: int64(len(result)), Digest: digestOf(result)}
	}
	manifest, err := stored.manifest()
	if err != nil {
		return StoredDroplet{}, r.failed(doing, err)
	}
	if err := r.storeManifest(ctx, stored, manifest, result, push.AsBuild); err != nil {
		return StoredDroplet{}, r.failed(doing, err)
	}
	stored.Digest = manifest.digest
	return stored, nil
}

// convertsTo reports whether content becomes the layer with a digest. It is false where
// content can be read only once, and was.
func convertsTo(ctx context.Context, options droplet.Options, open func() (io.ReadCloser, error), layer v1.Hash) (bool, error) {
	content, err := open()
	if errors.Is(err, errReadOnce) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer content.Close()
	made, err := droplet.Convert(ctx, content, io.Discard, options)
	return made.Digest == layer, err
}

// noResult stands for a result.json that is not known.
var noResult = []byte("{}")

// result checks the push and returns its result.json, if it has one.
func (p DropletPush) result() ([]byte, error) {
	if p.Stack != "" {
		if err := ValidateStackName(p.Stack); err != nil {
			return nil, fmt.Errorf("%w: %w", opi.ErrRefused, err)
		}
	}
	if p.Result == nil {
		return nil, nil
	}
	if len(p.Result) > MaxResultBytes {
		return nil, fmt.Errorf("%w: result.json has %d bytes, more than %d", opi.ErrRefused, len(p.Result), MaxResultBytes)
	}
	if err := json.Unmarshal(p.Result, new(map[string]any)); err != nil {
		return nil, fmt.Errorf("%w: result.json is no JSON object: %w", opi.ErrRefused, err)
	}
	return p.Result, nil
}

// storedDroplet finds a droplet by a promised checksum, a SHA-256 if there is one: two
// droplets with one SHA-1 can be made.
func (r *Registry) storedDroplet(ctx context.Context, promised []opi.Checksum) (StoredDroplet, bool, error) {
	if len(promised) == 0 {
		return StoredDroplet{}, false, nil
	}
	checksum := promised[max(0, slices.IndexFunc(promised, func(c opi.Checksum) bool { return c.Algorithm == "sha256" }))]
	checksum.Value = strings.ToLower(checksum.Value)
	stored, err := r.Droplet(ctx, checksum)
	if errors.Is(err, opi.ErrNotFound) {
		return StoredDroplet{}, false, nil
	}
	return stored, err == nil, err
}

// TagDroplet makes the tags of a droplet name a manifest that a build has pushed. Builds
// leave tags as they are that exist already. The error wraps opi.ErrNotFound if the
// registry has no such manifest, and opi.ErrRefused if it is not that droplet's.
func (r *Registry) TagDroplet(ctx context.Context, manifest v1.Hash, sha1, sha256 string) error {
	doing := "tag droplet " + sha256
	descriptor, err := r.get(ctx, r.droplets().Digest(manifest.String()))
	if errors.Is(err, errNotThere) {
		return fmt.Errorf("%s: %w in the registry", doing, opi.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	stored, err := parseDroplet(descriptor.Manifest, descriptor.Digest)
	if err == nil && (stored.SHA1 != sha1 || stored.SHA256 != sha256) {
		err = fmt.Errorf("it is of another droplet, sha1 %q, sha256 %q", stored.SHA1, stored.SHA256)
	}
	if err != nil {
		return fmt.Errorf("%s: manifest %s: %w: %w", doing, manifest, opi.ErrRefused, err)
	}
	raw := rawManifest{content: descriptor.Manifest, digest: descriptor.Digest}
	if err := r.storeManifest(ctx, stored, raw, nil, false); err != nil {
		return r.failed(doing, err)
	}
	return nil
}

// storeManifest writes the manifest of a droplet under both checksums, the SHA-1 last, by
// which Cloud Controller asks. Nothing is sent that is there. A nil result is there.
// keepTags leaves tags of other manifests as they are and writes the manifest under its
// digest.
func (r *Registry) storeManifest(ctx context.Context, stored StoredDroplet, manifest rawManifest, result []byte, keepTags bool) error {
	pusher, err := r.host.pusher(ctx, r.droplets())
	if err != nil {
		return err
	}
	put := func(reference name.Reference) error {
		if result != nil {
			// A pusher sends a blob once.
			if err := pusher.Upload(ctx, r.droplets(), static.NewLayer(result, ResultType)); err != nil {
				return err
			}
		}
		return pusher.Put(ctx, reference, manifest)
	}
	kept := false
	for _, value := range []string{stored.SHA256, stored.SHA1} {
		tag := r.droplets().Tag(value)
		digest, found, err := r.head(ctx, tag)
		if err != nil {
			return err
		}
		if found && (digest == manifest.digest || keepTags) {
			kept = kept || digest != manifest.digest
			continue
		}
		if err := put(tag); err != nil {
			// Another build may have been faster.
			if digest, found, _ = r.head(ctx, tag); !keepTags || !found {
				return err
			}
			kept = kept || digest != manifest.digest
		}
	}
	if kept {
		return put(r.droplets().Digest(manifest.digest.String()))
	}
	return nil
}

// asRefusal makes errors about a droplet that is at fault wrap opi.ErrRefused.
func asRefusal(err error) error {
	if fault, ok := errors.AsType[*droplet.Refusal](err); ok {
		return opi.WithMessage(fmt.Errorf("%w: %w", opi.ErrRefused, err), "%s", fault)
	}
	if fault, ok := errors.AsType[*droplet.Mismatch](err); ok {
		return opi.WithMessage(fmt.Errorf("%w: %w", opi.ErrRefused, err), "%s; stage the app again", fault)
	}
	if fields := opi.FieldErrors(err); len(fields) > 0 {
		return opi.WithMessage(fmt.Errorf("%w: %w", opi.ErrRefused, err), "the droplet can't be used: %s", fields[0].Reason)
	}
	return err
}

func digestOf(content []byte) v1.Hash {
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		panic(err) // reading from memory and hashing never fail
	}
	return digest
}

// resultOrNone reads a result.json that may be lost.
func (r *Registry) resultOrNone(ctx context.Context, digest v1.Hash) []byte {
	result, err := r.Result(ctx, digest)
	if err != nil {
		return noResult
	}
	return result
}

// Result reads a build's result.json by its digest, as StoredDroplet.Result has it.
// The error wraps opi.ErrNotFound where there is no such blob.
func (r *Registry) Result(ctx context.Context, digest v1.Hash) ([]byte, error) {
	doing := "read result " + digest.String()
	puller, err := r.host.puller(ctx, r.droplets())
	if err != nil {
		return nil, r.failed(doing, err)
	}
	layer, err := puller.Layer(ctx, r.droplets().Digest(digest.String()))
	if err != nil {
		return nil, r.failed(doing, err)
	}
	content, err := layer.Compressed()
	if isNotFound(err) {
		return nil, fmt.Errorf("%s: %w in the registry", doing, opi.ErrNotFound)
	}
	if err != nil {
		return nil, r.failed(doing, err)
	}
	defer content.Close()
	// One more byte than allowed, which also makes a whole blob meet its end, where
	// its digest is verified.
	result, err := io.ReadAll(io.LimitReader(content, MaxResultBytes+1))
	if err == nil && len(result) > MaxResultBytes {
		err = fmt.Errorf("it has more than %d bytes", MaxResultBytes)
	}
	if err != nil {
		return nil, r.failed(doing, err)
	}
	return result, nil
}
