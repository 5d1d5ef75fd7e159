package control

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/view"
)

func TestPullState(t *testing.T) {
	waits := func(reason string) view.Container {
		return view.Container{Waiting: &view.Waiting{Reason: reason}}
	}
	runs := view.Container{Running: true}
	crashed := waits("CrashLoopBackOff")
	crashed.LastTermination = &view.Termination{ExitCode: 1}
	failedAgain := waits("ImagePullBackOff")
	failedAgain.LastTermination = &view.Termination{ExitCode: 1}
	pods := func(containers ...view.Container) (pods []view.Pod) {
		for index, container := range containers {
			pods = append(pods, view.Pod{Index: index, Container: container})
		}
		return pods
	}
	going := pods(runs, runs)
	going[1].Deleting = ptr.To(time.Now())
	for name, example := range map[string]struct {
		instances int
		pods      []view.Pod
		waiting   int
		pulled    bool
	}{
		"all run":                          {2, pods(runs, runs), 0, true},
		"one crashes":                      {2, pods(runs, crashed), 0, true},
		"one has just failed":              {2, pods(runs, waits("ErrImagePull")), 1, false},
		"both wait for another try":        {2, pods(waits("ImagePullBackOff"), waits("ImagePullBackOff")), 2, false},
		"one ran before":                   {1, pods(failedAgain), 1, false},
		"one is being created":             {2, pods(runs, waits("ContainerCreating")), 0, false},
		"one has a name that can't be":     {1, pods(waits("InvalidImageName")), 0, false},
		"one is between two pods":          {1, nil, 0, false},
		"one of two is between two pods":   {2, pods(runs), 0, false},
		"one is being deleted":             {2, going, 0, false},
		"none is desired":                  {0, nil, 0, true},
		"the surge runs, not the instance": {1, []view.Pod{{Index: 1, Container: runs}}, 0, false},
		"only the surge waits":             {1, pods(runs, waits("ErrImagePull")), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			waiting, pulled := pullState(view.LRP{Instances: example.instances}, example.pods)
			g.Expect(waiting).To(HaveLen(example.waiting))
			g.Expect(pulled).To(Equal(example.pulled))
		})
	}
}

func TestAttemptsThatCouldNotBeMadeAreNoRepairs(t *testing.T) {
	g := NewWithT(t)
	now := time.Now()
	c := imageCase{pause: DefaultRepairPause}
	for _, pause := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		c.postpone(now)
		c.takeBack(now)
		g.Expect(c.next.Sub(now)).To(Equal(pause))
	}
	for repairs, pause := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 30 * time.Minute, 30 * time.Minute} {
		c.postpone(now)
		g.Expect(c.repairs).To(Equal(repairs + 1))
		g.Expect(c.next.Sub(now)).To(Equal(pause), "as if the registry had never been away")
	}
}
