package job

import (
	lru "github.com/hashicorp/golang-lru/v2"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxRemembered Jobs take half a megabyte.
const maxRemembered = 4096

// once remembers the Jobs whose end was counted.
type once struct {
	cache *lru.Cache[types.UID, struct{}]
}

func newOnce() once {
	cache, err := lru.New[types.UID, struct{}](maxRemembered)
	if err != nil {
		panic(err) // only for a size below one
	}
	return once{cache}
}

// first reports whether a Job comes for the first time, as far as this process remembers.
func (o once) first(job *batchv1.Job) bool {
	known, _ := o.cache.ContainsOrAdd(job.UID, struct{}{})
	return !known
}
