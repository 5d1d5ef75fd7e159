package bits

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/opi"
)

// elsewhere is a foundation that has staged a droplet: Cloud Controller, which compares
// checksums as the real one does, and its blobstore. Apps are desired with what is in
// droplet.
func elsewhere(t *testing.T) (cc *standin.Server, d testDroplet) {
	t.Helper()
	cc, err := standin.Start(standin.Options{User: "admin", Password: "pass/w:rd"})
	check(t, err)
	t.Cleanup(func() { check(t, cc.Close()) })
	d = dropletOf(t, "elsewhere", 50_000)
	kept, err := cc.AddDroplet("process", d.reader())
	check(t, err)
	d.GUID = kept.GUID
	return cc, d
}

// Each of these is in docs/configuration.md.
func TestDropletsOfAnotherFoundationAreFetched(t *testing.T) {
	cc, d := elsewhere(t)
	const blobstore = "/admin/cc-droplets/{partition}/{droplet_guid}/{hash}"
	host := strings.TrimPrefix(cc.URL(), "http://")
	for name, o := range map[string]HTTPSourceOptions{
		"the blobstore":              {URL: cc.URL() + blobstore, UsernameFile: writeFile(t, "admin\n"), PasswordFile: writeFile(t, "pass/w:rd\n")},
		"the blobstore, by one file": {URLFile: writeFile(t, "http://admin:pass%2Fw%3Ard@"+host+blobstore+"\n")},
		"Cloud Controller's own disk": {URL: cc.URL() + "/staging/v3/droplets/{droplet_guid}/download",
			UsernameFile: writeFile(t, "admin"), PasswordFile: writeFile(t, "pass/w:rd")},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o.PlainHTTP = true
			c := newCloud(t, withSource(sourceOf(t, o)))
			assembled, err := c.assemble(d)
			g.Expect(err).NotTo(HaveOccurred())
			c.pull(assembled)
		})
	}
}

func TestCloudControllerComparesTheSHA256(t *testing.T) {
	g := NewWithT(t)
	cc, d := elsewhere(t)
	source := sourceOf(t, HTTPSourceOptions{CloudController: cc.URL(), PlainHTTP: true})
	c := newCloud(t, withSource(source))
	_, err := c.assemble(d)
	g.Expect(err).To(failWith(opi.ErrRefused, "Cloud Controller hands droplets out by their SHA-256 only"))

	cc.ForgetSHA256("process")
	checked, err := CheckDroplet(context.Background(), source, d.Droplet, "process")
	g.Expect(err).NotTo(HaveOccurred(), "droplets that have none are still fetched")
	g.Expect(checked.Complete).To(BeTrue())
}

func TestSignaturesMayChange(t *testing.T) {
	g := NewWithT(t)
	cc, d := elsewhere(t)
	host := strings.TrimPrefix(cc.URL(), "http://")
	file := writeFile(t, "http://admin:old@"+host+"/admin/cc-droplets/{partition}/{droplet_guid}/{hash}")
	source := sourceOf(t, HTTPSourceOptions{URLFile: file, PlainHTTP: true})
	_, err := fetched(source, d.Droplet)
	g.Expect(err).To(failWith(opi.ErrUnavailable, host+" answers 401 Unauthorized"))
	g.Expect(err).NotTo(MatchError(ContainSubstring("old")))
	g.Expect(os.WriteFile(file, []byte("http://admin:pass%2Fw%3Ard@"+host+"/staging/v3/droplets/{droplet_guid}/download"), 0o600)).To(Succeed())
	g.Expect(fetched(source, d.Droplet)).To(Equal(d.content))
	g.Expect(source.Address()).To(Equal(cc.URL()))

	g.Expect(os.WriteFile(file, []byte("nonsense"), 0o600)).To(Succeed())
	_, err = fetched(source, d.Droplet)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "does not begin with"))
}

func TestCheckDroplet(t *testing.T) {
	g := NewWithT(t)
	cc, d := elsewhere(t)
	source := sourceOf(t, HTTPSourceOptions{
		URL: cc.URL() + "/staging/v3/droplets/{droplet_guid}/download", PlainHTTP: true,
		UsernameFile: writeFile(t, "admin"), PasswordFile: writeFile(t, "pass/w:rd"),
	})
	ctx := context.Background()
	g.Expect(CheckDroplet(ctx, source, d.Droplet, "process")).To(Equal(CheckedDroplet{Bytes: int64(len(d.content)), Complete: true}))

	other := d.Droplet
	other.Checksum.Value = strings.Repeat("0", 40)
	_, err := CheckDroplet(ctx, source, other, "process")
	g.Expect(err).To(failWith(opi.ErrRefused, "other content there, with the checksum "+d.Checksum.Value))
	other.GUID = "nothing"
	_, err = CheckDroplet(ctx, source, other, "process")
	g.Expect(err).To(failWith(opi.ErrRefused, "no such droplet there"))
}

// endless is a source whose droplet never ends; the time is over once bytes have come.
type endless struct {
	context.Context
	timeIsOver context.CancelFunc
}

// Open implements DropletSource.
func (e *endless) Open(context.Context, opi.Droplet, string) (io.ReadCloser, error) {
	return io.NopCloser(e), nil
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	if e.Err() != nil {
		return 0, context.Cause(e)
	}
	e.timeIsOver()
	return len(p), nil
}

func TestCheckDropletThatTakesLong(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	checked, err := CheckDroplet(ctx, &endless{ctx, cancel}, opi.Droplet{}, "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(checked.Complete).To(BeFalse())
	g.Expect(checked.Bytes).To(BeNumerically(">", 0))
}
