package push

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"io"
	"sync"
)

// digests are those of one file.
type digests struct {
	md5    []byte
	sha1   []byte
	sha256 []byte
}

// computeDigests reads the file once. The digests are computed side by side, each
// block by all of them while the next one is read.
func computeDigests(ctx context.Context, file io.Reader) (digests, error) {
	const block = 1 << 20
	hashes := [...]hash.Hash{md5.New(), sha1.New(), sha256.New()}
	buffers := [2][]byte{make([]byte, block), make([]byte, block)}
	var working sync.WaitGroup
	defer working.Wait()
	for turn := 0; ; turn++ {
		if err := ctx.Err(); err != nil {
			return digests{}, err
		}
		buffer := buffers[turn%2]
		n, err := io.ReadFull(file, buffer)
		working.Wait()
		for _, h := range hashes {
			working.Go(func() { _, _ = h.Write(buffer[:n]) })
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return digests{}, err
		}
	}
	working.Wait()
	return digests{md5: hashes[0].Sum(nil), sha1: hashes[1].Sum(nil), sha256: hashes[2].Sum(nil)}, nil
}
