package job

import (
	lru "github.com/hashicorp/golang-lru/v2"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxRemembered Jobs take half a megabyte.
const maxRemembered = 4096

// Once remembers Jobs whose end was counted: a decision may have to be made again.
type Once struct {
	cache *lru.Cache[types.UID, struct{}]
}

// NewOnce remembers nothing yet.
func NewOnce() Once {
	cache, err := lru.New[types.UID, struct{}](maxRemembered)
	if err != nil {
		panic(err) // only for a size below one
	}
	return Once{cache}
}

// First is whether a Job comes for the first time, as far as this process remembers.
func (o Once) First(job *batchv1.Job) bool {
	known, _ := o.cache.ContainsOrAdd(job.UID, struct{}{})
	return !known
}
