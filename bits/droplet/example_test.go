package droplet_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/irene-cf/irene/bits/droplet"
)

// A registry's client reads a layer while it is being made, and learns its digest
// at the end. Here it is a function that only counts.
func ExampleConvert() {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for name, content := range map[string]string{"./staging_info.yml": `{"start_command":"./server"}`} {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))})
		_, _ = io.WriteString(w, content)
	}
	_ = w.Close()

	ctx := context.Background()
	blob, to := io.Pipe()
	uploaded := make(chan int64)
	go func() {
		n, err := io.Copy(io.Discard, blob)
		// A client that gives up makes Convert fail with ErrSink.
		_ = blob.CloseWithError(err)
		uploaded <- n
	}()
	layer, err := droplet.Convert(ctx, &packed, to, droplet.Options{})
	_ = to.CloseWithError(err)
	sent := <-uploaded
	switch {
	case errors.Is(err, droplet.ErrRefused):
		fmt.Println("tell the app's developer:", err)
	case err != nil:
		fmt.Println("try again:", err)
	default:
		fmt.Println(layer.MediaType, layer.Size == sent, layer.StagingInfo.StartCommand)
	}
	// Output: application/vnd.oci.image.layer.v1.tar+gzip true ./server
}
