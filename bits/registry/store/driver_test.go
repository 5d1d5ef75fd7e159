package store

import (
	"flag"
	"os"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/testsuites"
)

// TestMain makes the library's suite do with files of some MiB: its large ones take
// minutes and tell nothing more about a local disk.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.short", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestTheLibrarysOwnSuite runs what the library asks of every driver. It sleeps for
// most of its time.
func TestTheLibrarysOwnSuite(t *testing.T) {
	t.Parallel()
	testsuites.Driver(t, func() (storagedriver.StorageDriver, error) {
		return open(t, t.TempDir()), nil
	}, true)
}
