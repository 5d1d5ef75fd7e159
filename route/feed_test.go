package route_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/route"
)

func TestFeedReadsNothingBeforeTheViewIsSynced(t *testing.T) {
	g := NewWithT(t)
	view := routing.NewView()
	feed := route.NewFeed(view, clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
	table := route.NewTable()
	dora := routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.1")
	view.Update(dora)
	g.Expect(feed.Read(table)).To(BeZero())

	progress := route.Progress{Seen: route.Revision{LRP: 1, Instances: 2}, Fresh: true}
	view.Sync(progress, routing.WithInstance(routing.LRP("other", "other.example.com"), 0, "10.0.0.2"))
	update := feed.Read(table)
	g.Expect(update.Synced).To(BeTrue())
	g.Expect(update.Progress).To(Equal(progress))
	g.Expect(update.Changes.Register).To(HaveLen(2))
	g.Expect(registered(table)).To(HaveLen(2))
	g.Expect(feed.Read(table)).To(Equal(route.Update{Synced: true, Progress: progress}), "nothing has changed since")
}

func TestFeedReadsSeveralChangesOnce(t *testing.T) {
	g := NewWithT(t)
	view := routing.NewView()
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	feed := route.NewFeed(view, clock)
	table := route.NewTable()
	view.Sync(route.Progress{})
	feed.Read(table)
	g.Expect(feed.Wake()).NotTo(Receive())

	for i := range 3 {
		view.Update(routing.WithInstance(routing.LRP("dora", "dora.example.com"), i, "10.0.0.1"))
		clock.SetTime(time.Unix(1001+int64(i), 0))
	}
	g.Expect(feed.Wake()).To(Receive())
	g.Expect(feed.Wake()).NotTo(Receive())
	update := feed.Read(table)
	g.Expect(update.Changes.Register).To(HaveLen(1), "the last state")
	g.Expect(update.Changes.Register[0].Index).To(Equal(2))
	g.Expect(update.Noted).To(Equal([]time.Time{time.Unix(1000, 0)}), "the first change")

	view.Update(routing.LRP("dora"))
	update = feed.Read(table)
	g.Expect(update.Changes.Unregister).To(HaveLen(1))
	g.Expect(table.Len()).To(BeZero())
}

// Each consumer reads at its own pace, into a table of its own.
func TestConsumersShareAView(t *testing.T) {
	g := NewWithT(t)
	view := routing.NewView()
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	feeds := []*route.Feed{route.NewFeed(view, clock), route.NewFeed(view, clock)}
	tables := []*route.Table{route.NewTable(), route.NewTable()}
	view.Sync(route.Progress{}, routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.1"))
	g.Expect(feeds[0].Read(tables[0]).Changes.Register).To(HaveLen(1))

	view.Update(routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.2"))
	g.Expect(feeds[0].Read(tables[0]).Changes.Unregister).To(HaveLen(1))
	g.Expect(feeds[1].Read(tables[1]).Changes.Unregister).To(BeEmpty(), "it never had the first address")
	g.Expect(route.Diff(tables[0], tables[1])).To(BeZero())
}
