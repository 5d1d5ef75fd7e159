package bbs

import (
	"fmt"
	"net/http"
	"slices"

	"code.cloudfoundry.org/bbs/models"
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers that all responses have in common.
const (
	errorField protowire.Number = 1
	// entryField is the repeated field of a list.
	entryField protowire.Number = 2
)

// chunk is how much of a list is sent at a time.
const chunk = 256 << 10

// answer is the response to one request. It begins with the first chunk or at the end, so
// that a list in work is sent while it is made.
type answer struct {
	w      http.ResponseWriter
	buffer []byte
	begun  bool
	failed error
}

// buffer returns an empty buffer, which goes back by keep.
func (f *front) buffer() []byte {
	if kept, ok := f.buffers.Get().(*[]byte); ok {
		return *kept
	}
	return nil
}

// keep takes a buffer of a list. The request must have been answered. Small buffers are not
// worth it, and one for a huge entry is not kept.
func (f *front) keep(buffer []byte) {
	if size := cap(buffer); size >= chunk && size <= 4*chunk {
		buffer = buffer[:0]
		f.buffers.Put(&buffer)
	}
}

// encoder is a generated message.
type encoder interface {
	Size() int
	MarshalToSizedBuffer(buffer []byte) (int, error)
}

// message sets the whole response.
func (a *answer) message(response encoder) error {
	a.buffer = slices.Grow(a.buffer[:0], response.Size())[:response.Size()]
	if _, err := response.MarshalToSizedBuffer(a.buffer); err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	return nil
}

// entry adds one entry of a list.
func (a *answer) entry(response encoder) error {
	size := response.Size()
	a.header(size)
	begin := len(a.buffer)
	a.buffer = append(a.buffer, make([]byte, size)...)
	if _, err := response.MarshalToSizedBuffer(a.buffer[begin:]); err != nil {
		return fmt.Errorf("encode an entry of the response: %w", err)
	}
	return a.sendChunk()
}

func (a *answer) header(size int) {
	a.buffer = protowire.AppendTag(a.buffer, entryField, protowire.BytesType)
	a.buffer = protowire.AppendVarint(a.buffer, uint64(size))
}

// sendChunk returns an error if the caller has gone away, so that the rest is not made.
func (a *answer) sendChunk() error {
	if len(a.buffer) < chunk {
		return nil
	}
	a.send()
	return a.failed
}

func (a *answer) send() {
	if !a.begun {
		a.w.Header().Set("Content-Type", "application/x-protobuf")
		a.w.WriteHeader(http.StatusOK)
		a.begun = true
	}
	if a.failed == nil && len(a.buffer) > 0 {
		_, a.failed = a.w.Write(a.buffer)
	}
	a.buffer = a.buffer[:0]
}

// end sends what is left of the response, or the error instead. Of a list that has begun
// the connection is cut, so that the part is not taken for the whole.
func (a *answer) end(doing string, err error) {
	switch {
	case err == nil:
		a.send()
	case a.begun:
		panic(http.ErrAbortHandler)
	case isUnavailable(err):
		WriteFault(a.w, http.StatusServiceUnavailable, "the platform can't "+doing+" at present; it may be able to later")
	default:
		a.buffer = encodeError(wireError(doing, err))
		a.send()
	}
}

// encodeError returns the response of any route that has nothing but the error.
func encodeError(err *models.Error) []byte {
	text := protowire.AppendTag(nil, errorField, protowire.BytesType)
	content, encodeErr := err.Marshal()
	if encodeErr != nil {
		panic(encodeErr) // a number and a text always marshal
	}
	return protowire.AppendBytes(text, content)
}
