package gitclone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/irene-cf/irene/opi"
)

// Repository says what to clone.
type Repository struct {
	// URL is an http or https URL. Its fragment names a branch, a tag or a commit;
	// without one it is what the server calls HEAD. It may carry user and password.
	URL string
	// Authorities are certificates in PEM that are trusted beside the system's.
	Authorities []byte
	// AnyCertificate accepts any certificate of the server.
	AnyCertificate bool
	// Bytes and Entries bound what is written, and what is checked out.
	Bytes   int64
	Entries int
}

func init() {
	// Some servers (Azure DevOps, AWS CodeCommit) refuse clients without multi_ack.
	// go-git doesn't ask for it, because it can't read the answers to commits that a
	// client has already (github.com/go-git/go-git/issues/64); its own example for
	// Azure DevOps changes this variable too. Clone fetches into empty repositories
	// only, so it has no commits to offer, and the answer is the same with multi_ack
	// and without. Nothing else in these programs uses go-git.
	transport.UnsupportedCapabilities = []capability.Capability{capability.ThinPack}
}

// maxDepth bounds how deep submodules may have submodules.
const maxDepth = 8

// remoteName is what git calls the repository that a clone was made from.
const remoteName = "origin"

// Clone clones the repository into a folder, which should be empty, and returns how
// many bytes it wrote.
func Clone(ctx context.Context, repository Repository, folder string) (int64, error) {
	u, err := opi.ParseHTTPURL(repository.URL)
	if err != nil {
		return 0, &Error{Why: "its address is not an http or https URL", Final: true}
	}
	reference := u.Fragment
	u.Fragment, u.RawFragment = "", ""
	c := &cloner{origin: *u, authorities: repository.Authorities, anyCertificate: repository.AnyCertificate, quota: &quota{}, entries: int64(repository.Entries)}
	c.origin.User = nil
	c.quota.bytes.Store(repository.Bytes)
	c.quota.entries.Store(int64(repository.Entries) + ownFiles)
	if u.User != nil {
		password, _ := u.User.Password()
		c.auth = &githttp.BasicAuth{Username: u.User.Username(), Password: password}
	}
	fs := &countedFS{osfs.New(folder, osfs.WithBoundOS()), c.quota}
	err = c.clone(ctx, fs, &c.origin, func(remote *git.Remote) (wanted, error) { return c.find(ctx, remote, reference) }, 0)
	return repository.Bytes - c.quota.bytes.Load(), c.explain(err)
}

type cloner struct {
	// origin is the first repository's URL without credentials.
	origin         url.URL
	auth           *githttp.BasicAuth
	authorities    []byte
	anyCertificate bool
	quota          *quota
	// entries is how many may still be checked out.
	entries int64
}

// wanted is a commit to check out and how to get it.
type wanted struct {
	hash plumbing.Hash
	// source is the reference or commit to fetch.
	source string
	// branch is the name of the local branch; empty for none.
	branch plumbing.ReferenceName
}

// authFor returns what to authenticate with at a URL: nothing but at the origin.
func (c *cloner) authFor(u *url.URL) transport.AuthMethod {
	if c.auth == nil || u.Scheme != c.origin.Scheme || u.Host != c.origin.Host {
		return nil
	}
	return c.auth
}

func (c *cloner) clone(ctx context.Context, fs billy.Filesystem, u *url.URL, find func(*git.Remote) (wanted, error), depth int) error {
	dot, err := fs.Chroot(git.GitDirName)
	if err != nil {
		return err
	}
	repository, err := git.Init(filesystem.NewStorage(dot, cache.NewObjectLRUDefault()), fs)
	if err != nil {
		return err
	}
	remote, err := repository.CreateRemote(&config.RemoteConfig{Name: remoteName, URLs: []string{u.String()}})
	if err != nil {
		return err
	}
	what, err := find(remote)
	if err != nil {
		return err
	}
	if err := c.fetch(ctx, remote, u, what); err != nil {
		return err
	}
	commit, err := c.commit(repository, what.hash)
	if err != nil {
		return err
	}
	if err := c.checkSize(commit); err != nil {
		return err
	}
	tree, err := repository.Worktree()
	if err != nil {
		return err
	}
	if err := tree.Checkout(&git.CheckoutOptions{Hash: commit.Hash, Branch: what.branch, Create: what.branch != "", Force: true}); err != nil {
		return err
	}
	return c.submodules(ctx, repository, tree, fs, u, depth)
}

// find looks up what a URL's fragment names.
func (c *cloner) find(ctx context.Context, remote *git.Remote, name string) (wanted, error) {
	references, err := remote.ListContext(ctx, &git.ListOptions{Auth: c.authFor(&c.origin), CABundle: c.authorities, InsecureSkipTLS: c.anyCertificate})
	if err != nil {
		return wanted{}, err
	}
	byName := map[plumbing.ReferenceName]*plumbing.Reference{}
	for _, reference := range references {
		byName[reference.Name()] = reference
	}
	candidates := []plumbing.ReferenceName{plumbing.NewBranchReferenceName(name), plumbing.NewTagReferenceName(name)}
	if name == "" {
		candidates = []plumbing.ReferenceName{plumbing.HEAD}
		if head := byName[plumbing.HEAD]; head != nil && head.Type() == plumbing.SymbolicReference {
			candidates = []plumbing.ReferenceName{head.Target()}
		}
	}
	for _, candidate := range candidates {
		if found := byName[candidate]; found != nil && found.Type() == plumbing.HashReference {
			what := wanted{hash: found.Hash(), source: candidate.String()}
			if candidate.IsBranch() {
				what.branch = candidate
			}
			return what, nil
		}
	}
	if plumbing.IsHash(name) {
		return wanted{hash: plumbing.NewHash(name), source: name}, nil
	}
	return wanted{}, &Error{Why: fmt.Sprintf("it has no branch, tag or commit %q", name), Final: true}
}

// fetch gets a commit: alone if the server can do that, else with all branches.
func (c *cloner) fetch(ctx context.Context, remote *git.Remote, u *url.URL, what wanted) error {
	options := git.FetchOptions{RemoteName: remoteName, Auth: c.authFor(u), CABundle: c.authorities, InsecureSkipTLS: c.anyCertificate, Depth: 1, Tags: git.NoTags}
	local := "refs/irene/wanted"
	if what.branch != "" {
		local = plumbing.NewRemoteReferenceName(remoteName, what.branch.Short()).String()
	}
	options.RefSpecs = []config.RefSpec{config.RefSpec("+" + what.source + ":" + local)}
	err := remote.FetchContext(ctx, &options)
	var missing git.NoMatchingRefSpecError
	if plumbing.IsHash(what.source) && (errors.Is(err, git.ErrExactSHA1NotSupported) || errors.As(err, &missing)) {
		options.RefSpecs, options.Depth, options.Tags = []config.RefSpec{"+refs/heads/*:refs/remotes/origin/*"}, 0, git.AllTags
		err = remote.FetchContext(ctx, &options)
	}
	if errors.Is(err, git.NoErrAlreadyUpToDate) {
		return nil
	}
	return err
}

// commit returns the commit of that hash, or that the tag of that hash stands for.
func (c *cloner) commit(repository *git.Repository, hash plumbing.Hash) (*object.Commit, error) {
	for range maxDepth {
		tag, err := repository.TagObject(hash)
		if err != nil {
			break
		}
		hash = tag.Target
	}
	commit, err := repository.CommitObject(hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, &Error{Why: fmt.Sprintf("it has no commit %s", hash), Final: true}
	}
	return commit, err
}

// checkSize refuses what is too large before it is checked out: trees can name one
// another so that a few kilobytes become endless.
func (c *cloner) checkSize(commit *object.Commit) error {
	tree, err := commit.Tree()
	if err != nil {
		return err
	}
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	bytes := c.quota.bytes.Load()
	for {
		name, entry, err := walker.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.entries--; c.entries < 0 {
			return errTooMuch
		}
		if !entry.Mode.IsFile() || entry.Mode == filemode.Symlink {
			continue
		}
		size, err := tree.Size(name)
		if err != nil {
			return err
		}
		if bytes -= size; bytes < 0 {
			return errTooMuch
		}
	}
}
