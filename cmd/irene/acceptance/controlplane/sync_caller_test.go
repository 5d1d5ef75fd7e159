//go:build controlplane

package controlplane_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// syncThreads is how many requests Cloud Controller's sync makes at the same time.
const syncThreads = 50

// syncCaller calls the BBS door as Cloud Controller's sync does (contract/bbs.md 1.1 and 5.2):
// it waits 10 s for an answer, repeats what got none for a minute with growing pauses, and
// repeats nothing that was answered.
type syncCaller struct {
	client *http.Client

	mu sync.Mutex
	// doors are those of the replicas behind one address, as a Service has it: each attempt goes
	// to the next.
	doors []string
	turn  int
	most  time.Duration
}

func newSyncCaller(doors ...string) *syncCaller {
	return &syncCaller{doors: doors, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: syncThreads}}}
}

// forget leaves a replica out from now on, as a Service does within moments of its end.
func (c *syncCaller) forget(door string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doors = slices.DeleteFunc(c.doors, func(other string) bool { return other == door })
}

func (c *syncCaller) next() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	return c.doors[c.turn%len(c.doors)]
}

// slowest returns the longest time that an answer took.
func (c *syncCaller) slowest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// syncUntilAllIsThere makes rounds of the sync until the list has all LRPs.
func (c *syncCaller) syncUntilAllIsThere(ctx context.Context, lrps []*models.DesiredLRP) {
	for ctx.Err() == nil {
		missing := c.round(ctx, lrps)
		if missing == 0 {
			return
		}
	}
}

// round desires what the list does not have, and returns how much that was. What fails is left
// for the next round.
func (c *syncCaller) round(ctx context.Context, lrps []*models.DesiredLRP) (missing int) {
	var list models.DesiredLRPSchedulingInfosResponse
	if err := c.post(ctx, "/v1/desired_lrp_scheduling_infos/list", &models.DesiredLRPsRequest{Domain: "cf-apps"}, &list); err != nil {
		return len(lrps)
	}
	listed := map[string]bool{}
	for _, info := range list.DesiredLrpSchedulingInfos {
		Expect(listed).NotTo(HaveKey(info.ProcessGuid), "it is in the list twice")
		listed[info.ProcessGuid] = true
	}
	threads := make(chan struct{}, syncThreads)
	var group sync.WaitGroup
	for _, lrp := range lrps {
		if listed[lrp.ProcessGuid] {
			continue
		}
		missing++
		threads <- struct{}{}
		group.Go(func() {
			defer func() { <-threads }()
			var answer models.DesiredLRPLifecycleResponse
			// The next round finds out whether it was desired.
			_ = c.post(ctx, "/v1/desired_lrp/desire.r2", &models.DesireLRPRequest{DesiredLrp: lrp}, &answer)
		})
	}
	group.Wait()
	return missing
}

// post repeats a request that got no answer, as Cloud Controller does.
func (c *syncCaller) post(ctx context.Context, route string, request, answer proto.Message) error {
	body, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	id, began := cloudcontroller.NewGUID(), time.Now()
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		content, err := c.attempt(ctx, route, id, body)
		var refused *unusableAnswer
		switch {
		case err == nil:
			return proto.Unmarshal(content, answer)
		case errors.As(err, &refused), ctx.Err() != nil, time.Since(began) > time.Minute:
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// unusableAnswer is an answer with another status than 200.
type unusableAnswer struct{ status int }

func (u *unusableAnswer) Error() string { return fmt.Sprintf("status %d", u.status) }

func (c *syncCaller) attempt(ctx context.Context, route, id string, body []byte) ([]byte, error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.next()+route, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/x-protobuf")
	post.Header.Set("X-Vcap-Request-Id", id)
	began := time.Now()
	response, err := c.client.Do(post)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.most = max(c.most, time.Since(began))
	c.mu.Unlock()
	if response.StatusCode != http.StatusOK {
		return nil, &unusableAnswer{response.StatusCode}
	}
	return content, nil
}
