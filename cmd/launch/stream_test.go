package main

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

// Node.js makes the pipe that it shares with launch non-blocking.
func TestAFullPipeThatAnotherProcessMadeNonBlockingLosesNothing(t *testing.T) {
	g := NewWithT(t)
	read, write, err := os.Pipe()
	g.Expect(err).NotTo(HaveOccurred())
	defer read.Close()
	number := int(write.Fd())
	g.Expect(syscall.SetNonblock(number, true)).To(Succeed())
	text := strings.Repeat("0123456789abcde\n", 20_000)
	g.Expect(len(text)).To(BeNumerically(">", 4*64<<10), "more than the pipe holds")
	written := make(chan error, 1)
	go func() {
		newLineWriter(stream(number), "", "").copyFrom(strings.NewReader(text))
		written <- write.Close()
	}()
	arrived, err := io.ReadAll(read)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(<-written).To(Succeed())
	g.Expect(string(arrived)).To(Equal(text))
}

func TestWritingToAReaderThatIsGone(t *testing.T) {
	g := NewWithT(t)
	read, write, err := os.Pipe()
	g.Expect(err).NotTo(HaveOccurred())
	defer write.Close()
	g.Expect(read.Close()).To(Succeed())
	_, err = stream(write.Fd()).Write([]byte("x"))
	g.Expect(err).To(MatchError(syscall.EPIPE))
}
