package gitclone

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/irene-cf/irene/opi"
)

// submodules clones the submodules of what is checked out.
func (c *cloner) submodules(ctx context.Context, repository *git.Repository, tree *git.Worktree, fs billy.Filesystem, parent *url.URL, depth int) error {
	modules, err := tree.Submodules()
	if err != nil {
		return &Error{Why: "its .gitmodules can't be read", Final: true}
	}
	if len(modules) > 0 && depth == maxDepth {
		return &Error{Why: "its submodules go too deep", Final: true}
	}
	index, err := repository.Storer.Index()
	if err != nil {
		return err
	}
	for _, module := range modules {
		entry, err := index.Entry(module.Config().Path)
		if err != nil || entry.Mode != filemode.Submodule {
			// Named and not used.
			continue
		}
		u, err := moduleURL(parent, module.Config().URL)
		if err != nil {
			return err
		}
		// The path is that of an entry which was checked out, so it is a clean one.
		sub, err := fs.Chroot(entry.Name)
		if err != nil {
			return err
		}
		what := wanted{hash: entry.Hash, source: entry.Hash.String()}
		err = c.clone(ctx, sub, u, func(*git.Remote) (wanted, error) { return what, nil }, depth+1)
		if err != nil {
			return fmt.Errorf("submodule %s: %w", entry.Name, err)
		}
	}
	return nil
}

// moduleURL finds out where a submodule is; relative URLs start at the parent's.
func moduleURL(parent *url.URL, text string) (*url.URL, error) {
	if strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") {
		u := *parent
		u.Path, u.RawPath = path.Join(parent.Path, text), ""
		return &u, nil
	}
	u, err := opi.ParseHTTPURL(text)
	if err != nil {
		return nil, &Error{Why: "it has a submodule whose address is not an http or https URL", Final: true}
	}
	u.User, u.Fragment = nil, ""
	return u, nil
}
