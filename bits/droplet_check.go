package bits

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// CheckedDroplet is a droplet with which a source was tried.
type CheckedDroplet struct {
	// Bytes is how many were read.
	Bytes int64
	// Complete is true if that was all of the droplet, and its checksum is right.
	Complete bool
}

// CheckDroplet reads a droplet as an assembly would, until its end or the end of ctx,
// which is no error once bytes have come.
func CheckDroplet(ctx context.Context, source DropletSource, droplet opi.Droplet, processGUID string) (CheckedDroplet, error) {
	content, err := source.Open(ctx, droplet, processGUID)
	if err != nil {
		return CheckedDroplet{}, err
	}
	defer content.Close()
	sum := sha1.New()
	if droplet.Checksum.Algorithm == "sha256" {
		sum = sha256.New()
	}
	size, err := io.Copy(sum, content)
	checked := CheckedDroplet{Bytes: size, Complete: err == nil}
	switch {
	case err != nil && size > 0 && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return checked, nil
	case err != nil:
		return checked, err
	}
	if found := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(found, droplet.Checksum.Value) {
		return checked, fmt.Errorf("fetch droplet %s: %w: the source has other content there, with the checksum %s", droplet.Checksum.Value, opi.ErrRefused, found)
	}
	return checked, nil
}
