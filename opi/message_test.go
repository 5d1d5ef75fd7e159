package opi

import (
	"errors"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
)

func TestMessage(t *testing.T) {
	g := NewWithT(t)
	inner := WithMessage(fmt.Errorf("GET https://10.0.0.1/: %w", ErrUnavailable), "try again in %d minutes", 5)
	wrapped := fmt.Errorf("desire LRP x: %w", inner)
	g.Expect(Message(wrapped)).To(Equal("try again in 5 minutes"))
	g.Expect(Message(WithMessage(wrapped, "%s", "wait"))).To(Equal("wait"))
	g.Expect(Message(errors.Join(errors.New("other"), wrapped))).To(Equal("try again in 5 minutes"))
	g.Expect(wrapped).To(MatchError(ErrUnavailable))
	g.Expect(wrapped).To(MatchError("desire LRP x: GET https://10.0.0.1/: unavailable at present"))
	g.Expect(Message(errors.New("internal"))).To(BeEmpty())
	g.Expect(Message(nil)).To(BeEmpty())
}
