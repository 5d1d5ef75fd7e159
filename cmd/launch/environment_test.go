package main

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestEnvironmentChangesAreCopies(t *testing.T) {
	g := NewWithT(t)
	old := environment{"A=1", "B=", "AB=3", "A=4"}
	g.Expect(old.with("A", "5")).To(Equal(environment{"A=5", "B=", "AB=3"}))
	g.Expect(old.with("C", "x=y")).To(Equal(environment{"A=1", "B=", "AB=3", "A=4", "C=x=y"}))
	g.Expect(old.withDefault("B", "2")).To(Equal(environment{"A=1", "B=2", "AB=3", "A=4"}))
	g.Expect(old.withDefault("A", "9")).To(Equal(old))
	g.Expect(old).To(Equal(environment{"A=1", "B=", "AB=3", "A=4"}))
}
