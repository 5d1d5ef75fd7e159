package reload

import (
	"errors"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

func TestValue(t *testing.T) {
	g := NewWithT(t)
	content, readError := "first", error(nil)
	reads, retired, now := 0, []string{}, time.Now()
	logger := lagertest.NewTestLogger("test")
	value, err := Load(Source[string]{
		Read: func() ([][]byte, error) { reads++; return [][]byte{[]byte(content), nil}, readError },
		Make: func(content [][]byte) (string, error) {
			if text := string(content[0]); text != "bad" {
				return "made of " + text, nil
			}
			return "", errors.New("it is bad")
		},
		Retire: func(old string) { retired = append(retired, old) },
		Kind:   "texts",
		Logger: logger, Now: func() time.Time { return now },
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(value.Current()).To(Equal("made of first"))

	content = "second"
	g.Expect(value.Current()).To(Equal("made of first"))
	g.Expect(reads).To(Equal(1), "looked at now and then only")
	later := func() string { now = now.Add(CheckInterval); return value.Current() }
	g.Expect(later()).To(Equal("made of second"))
	g.Expect(retired).To(Equal([]string{"made of first"}))
	g.Expect(logger).To(gbytes.Say("test.reloaded"))

	content = "bad"
	g.Expect(later()).To(Equal("made of second"))
	g.Expect(later()).To(Equal("made of second"))
	g.Expect(logger).To(gbytes.Say(`reload-failed.*"the texts read before stay in use"`))
	g.Expect(logger).NotTo(gbytes.Say("reload-failed"), "once is enough")
	content, readError = "third", errors.New("the disk is gone")
	g.Expect(later()).To(Equal("made of second"))
	g.Expect(logger).To(gbytes.Say("reload-failed"))
	readError = nil
	g.Expect(later()).To(Equal("made of third"))
	g.Expect(retired).To(Equal([]string{"made of first", "made of second"}))
}

func TestWhatCannotBeUsedAtFirstIsAnError(t *testing.T) {
	g := NewWithT(t)
	wrong := errors.New("wrong")
	_, err := Load(Source[int]{Read: func() ([][]byte, error) { return nil, wrong }})
	g.Expect(err).To(MatchError(wrong))
	_, err = Load(Source[int]{Read: func() ([][]byte, error) { return nil, nil }, Make: func([][]byte) (int, error) { return 0, wrong }})
	g.Expect(err).To(MatchError(wrong))
}
