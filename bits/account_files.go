package bits

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

const (
	passwdPath = "etc/passwd"
	groupPath  = "etc/group"

	// maxAccountFileBytes bounds one account file.
	maxAccountFileBytes = 1 << 20
	// maxImageBytes bounds how much of an image is unpacked in search of them: more than
	// is unpacked within the usual timeout of a lookup.
	maxImageBytes = 2 << 30

	whiteoutPrefix = ".wh."
	opaqueWhiteout = ".wh..wh..opq"
)

// accountFiles are files by their path, as a container of the image would see
// them. A file that isn't there is left out.
type accountFiles map[string]accountFile

// accountFile is a file's content, or why it can't be read ("is a …").
type accountFile struct {
	content  []byte
	unusable string
}

// readAccountFiles finds wanted (passwdPath, groupPath) in an image's layers,
// from the uppermost down, until each was found or is known not to be there. Links
// are not followed.
//
// go-containerregistry's mutate.Extract shows a flattened image too, but lets a
// whiteout hide files of its own layer, which runtimes don't.
func readAccountFiles(layers []layerSource, wanted ...string) (accountFiles, error) {
	found := accountFiles{}
	open := slices.Clone(wanted)
	budget := int64(maxImageBytes)
	for _, layer := range slices.Backward(layers) {
		if len(open) == 0 {
			break
		}
		seen, err := scanLayer(layer, open, &budget)
		if err != nil {
			digest, _ := layer.Digest()
			return nil, fmt.Errorf("read its layer %s: %w", digest, err)
		}
		open = slices.DeleteFunc(open, func(wanted string) bool {
			at := seen.files[wanted]
			if at != nil {
				found[wanted] = *at
			}
			return at != nil || seen.hides(wanted)
		})
	}
	return found, nil
}

// layerView is what one layer says about the files looked for.
type layerView struct {
	files map[string]*accountFile
	// hidden are paths whose former content, in lower layers, is gone.
	hidden map[string]bool
}

// hides tells whether lower layers' file at wanted can't be seen through this
// layer.
func (v layerView) hides(wanted string) bool {
	for at := wanted; at != "."; at = path.Dir(at) {
		if v.hidden[at] {
			return true
		}
	}
	return v.hidden["."]
}

// scanLayer reads a whole layer: a later entry of a path replaces an earlier one,
// and only at the layer's end is its digest verified.
func scanLayer(layer layerSource, wanted []string, budget *int64) (layerView, error) {
	view := layerView{files: map[string]*accountFile{}, hidden: map[string]bool{}}
	unpacked, err := layer.Uncompressed()
	if err != nil {
		return view, err
	}
	defer unpacked.Close()
	bounded := &budgetReader{reader: unpacked, left: budget}
	entries := tar.NewReader(bounded)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return view, err
		}
		if err := view.take(header, entries, wanted); err != nil {
			return view, err
		}
	}
	_, err = io.Copy(io.Discard, bounded)
	return view, err
}

// take notes what an entry means for the files looked for.
func (v layerView) take(header *tar.Header, content io.Reader, wanted []string) error {
	// A leading slash or ".." can't lead out of an image; runtimes root both.
	name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
	if name == "" {
		return nil
	}
	folder, base := path.Split(name)
	folder = path.Clean(folder)
	if base == opaqueWhiteout {
		// Removes what lower layers have in the folder, not the folder.
		for _, file := range wanted {
			if folder == "." || strings.HasPrefix(file, folder+"/") {
				v.hidden[file] = true
			}
		}
		return nil
	}
	if removed, ok := strings.CutPrefix(base, whiteoutPrefix); ok {
		v.hidden[path.Join(folder, removed)] = true
		return nil
	}

	for _, file := range wanted {
		switch {
		case strings.HasPrefix(file, name+"/") && header.Typeflag != tar.TypeDir:
			// Something stands where the file's folder should be.
			v.hidden[name] = true
			delete(v.files, file)
			if header.Typeflag == tar.TypeSymlink {
				v.files[file] = &accountFile{unusable: "is in a folder that is a symbolic link, which is not followed; give USER as a number"}
			}
		case file == name:
			read, err := readAccountFile(header, content)
			if err != nil {
				return err
			}
			v.files[file] = read
		}
	}
	return nil
}

func readAccountFile(header *tar.Header, content io.Reader) (*accountFile, error) {
	switch header.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink, tar.TypeLink:
		return &accountFile{unusable: "is a link, which is not followed; give USER as a number"}, nil
	default:
		return &accountFile{unusable: "is not a file"}, nil
	}
	if header.Size > maxAccountFileBytes {
		return &accountFile{unusable: fmt.Sprintf("has more than %d bytes; give USER as a number", maxAccountFileBytes)}, nil
	}
	all, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	return &accountFile{content: all}, nil
}

var errTooLargeToUnpack = errors.New("the image unpacks to too many bytes")

// budgetReader fails once more than left bytes were read, so that a small archive
// can't unpack without end.
type budgetReader struct {
	reader io.Reader
	left   *int64
}

func (r *budgetReader) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	if *r.left -= int64(n); *r.left < 0 {
		return 0, errTooLargeToUnpack
	}
	return n, err
}
