package bits

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/irene-cf/irene/opi"
)

// AppImage is an app image in the registry, as its name tells.
type AppImage struct {
	// DropletGUID is Cloud Controller's guid of the droplet.
	DropletGUID string
	// Checksum is the droplet's.
	Checksum string
	// Revision is that of the stack and lifecycle layer below the droplet.
	Revision string
}

// AppImages lists the images of one droplet, one for each stack and revision that it
// was assembled on: one request. A droplet without images has none.
func (r *Registry) AppImages(ctx context.Context, dropletGUID string) ([]AppImage, error) {
	doing := "list the images of droplet " + dropletGUID
	repository, err := name.NewRepository(r.appImages(dropletGUID).String(), name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	tags, err := r.tags(ctx, r.host.name.Repo(repository.RepositoryStr()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	images := make([]AppImage, 0, len(tags))
	for _, tag := range tags {
		if checksum, revision, found := cutLast(tag, "-"); found {
			images = append(images, AppImage{DropletGUID: dropletGUID, Checksum: checksum, Revision: revision})
		}
	}
	return images, nil
}

// tags are a repository's, none where there is no such repository.
func (r *Registry) tags(ctx context.Context, repository name.Repository) ([]string, error) {
	puller, err := r.host.puller(ctx, repository)
	if err != nil {
		return nil, r.failed("list tags of "+repository.String(), err)
	}
	tags, err := puller.List(ctx, repository)
	if err != nil && !isNotFound(err) {
		return nil, r.failed("list tags of "+repository.String(), err)
	}
	return tags, nil
}

// cutLast is strings.Cut at the last separator: a revision has none, a checksum may.
func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

// AllAppImages goes through the registry's catalog, a page at a time, and lists the
// images of every droplet in it. Registries may keep their catalog closed; the error
// says so then, and AppImages still answers for droplets that are known otherwise.
func (r *Registry) AllAppImages(ctx context.Context) iter.Seq2[AppImage, error] {
	return func(yield func(AppImage, error) bool) {
		for guid, err := range r.dropletGUIDs(ctx) {
			if err != nil {
				yield(AppImage{}, err)
				return
			}
			images, err := r.AppImages(ctx, guid)
			if err != nil {
				yield(AppImage{}, err)
				return
			}
			for _, image := range images {
				if !yield(image, nil) {
					return
				}
			}
		}
	}
}

// catalogPage is less than what any registry allows to ask for at once.
const catalogPage = 100

// dropletGUIDs are the names of the repositories right below the prefix that are not
// Irene's own.
func (r *Registry) dropletGUIDs(ctx context.Context) iter.Seq2[string, error] {
	const doing = "read the registry's catalog"
	prefix := ""
	if r.prefix != "" {
		prefix = r.prefix + "/"
	}
	return func(yield func(string, error) bool) {
		login, err := r.host.login(ctx, r.host.name.Scope(""))
		if err != nil {
			yield("", r.failed(doing, err))
			return
		}
		puller, err := remote.NewPuller(append(r.host.options(login), remote.WithPageSize(catalogPage))...)
		if err != nil {
			yield("", err)
			return
		}
		pages, err := puller.Catalogger(ctx, r.host.name)
		for err == nil && pages.HasNext() {
			var page *remote.Catalogs
			if page, err = pages.Next(ctx); err != nil {
				break
			}
			for _, repository := range page.Repos {
				guid, below := strings.CutPrefix(repository, prefix)
				if !below || strings.Contains(guid, "/") || slices.Contains(ownRepositories, guid) {
					continue
				}
				if !yield(guid, nil) {
					return
				}
			}
		}
		if err != nil {
			yield("", r.failed(doing, err))
		}
	}
}

// StackImages lists what ImportStack has put there for a stack: digests by the tags
// that name them, "latest" for the current one.
func (r *Registry) StackImages(ctx context.Context, stack string) (map[string]v1.Hash, error) {
	doing := "list the images of stack " + stack
	if err := ValidateStackName(stack); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	tags, err := r.tags(ctx, r.stack(stack))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	images := make(map[string]v1.Hash, len(tags))
	for _, tag := range tags {
		digest, found, err := r.head(ctx, r.stack(stack).Tag(tag))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		if found {
			images[tag] = digest
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("%s: %w", doing, opi.ErrNotFound)
	}
	return images, nil
}
