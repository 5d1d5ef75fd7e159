// Package events tells Cloud Controller what became of work: of Jobs, which are builds and
// tasks, and of the instances of LRPs.
//
// # What Jobs promises
//
// Each Job that carries keys.ReportFinalizer gets one outcome, which is decided, sent
// and marked, in this order, with Kubernetes as the only memory:
//
//   - Decided: the Decider of the Job's kind (label keys.SourceType) says what became of
//     it, asked with what the API server has at that moment. The answer is written into
//     annotation keys.Outcome of the Job, provided that the Job is still as it was read;
//     so of two replicas that decide differently one wins, and the outcome never
//     changes. A Job of which anything still runs, or may yet, is suspended by the
//     same write, and the pods of one that is being deleted are deleted: what is
//     reported as ended has ended. Pods that have ended by themselves stay, with their
//     logs, as long as the Job.
//   - Sent: the outcome, encoded by the door through which the work was asked for (keys.Door,
//     [Encoder]), is posted to the URL in the Secret that has the Job's name
//     (keys.CallbackKey), again and again until Cloud Controller's answer is definite,
//     see Answer.Verdict. Pauses grow from a second to a minute, or to what Retry-After
//     says; they are two minutes and more after an answer that a person has to mend
//     something for. What happens meanwhile changes no pause. Jobs are independent of
//     each other; there is no order among them.
//   - Marked: the answer is written into keys.OutcomeAnswer. Nothing is sent of such a
//     Job any more, nor of one without a callback, whose mark says so. It stays for
//     TombstoneTTL, so that a late repeat of its request finds it, and is deleted then;
//     one that somebody else deletes goes at once.
//
// The annotation holds the [opi.Outcome], in the domain's terms. For the OPI door it also
// holds the body that is sent, because the release before doors reads nothing else: an
// operator can go back by one version while outcomes are pending. A body that such a release
// has written is sent unchanged. If this process lacks the door of an outcome, the outcome
// stays pending: it is logged and counted, and sent by a process that has the door.
//
// A process may die at any point, and two may run at once. Cloud Controller hears the
// same outcome twice then at most, for each Job whose answer had not been marked: one
// for each delivery under way at that moment (Options.Workers at most). A process that
// is told to end in order gives these four seconds to be answered and marked.
//
// No lock is held while Cloud Controller is asked, and deliveries have workers of their
// own: it may call Irene before it answers.
//
// # What a Decider sees
//
// Jobs and pods as the informers keep them, to be read only and without what is large
// and says nothing of an end: managed fields, volumes, affinity and tolerations, and of
// containers all but name, image, resources and restart policy. Both need the label
// keys.SourceType; a Job without the finalizer is none of this package's business.
//
// The Secret with the callback should not be owned by the Job: if somebody deletes the
// Job in the foreground (kubectl delete --cascade=foreground), Kubernetes takes away all
// that it owns before Cloud Controller was told, and then nobody can be. Whoever makes
// the Secret deletes it once the Job has its answer.
//
// # What InstanceReports promises
//
// Each crash of an instance is told once, with the instance's guid and the crash's number
// within it, and so is each time that the platform moves an instance and, where wanted,
// each change of its readiness:
//
//   - Decided by whoever implements Instances: what happened is read from what Kubernetes
//     keeps anyway (a container's restart count and how it ended, a pod's conditions), so
//     nothing is written for it and nothing is missed that a pod still shows. Of crashes
//     that were missed the number is told, and "details unknown".
//   - Sent: in the form of the LRP's door ([Encoder]), to InstanceReportsOptions.URL
//     until the answer is definite, see Answer.Verdict (404
//     is), with the pauses that Jobs makes. Reports about one LRP go one after the other
//     in the order in which they were noticed, those of different LRPs at the same time;
//     one that fails holds up the others of its LRP and nothing else.
//   - Marked: what was answered is written on the pod (keys.Told: the number of its last
//     crash told, and so on), by one small patch a report and none besides. A process
//     that begins to report reads the pod once more before its first report of it, since
//     what its view shows may be older than the last leader's mark.
//
// What is noticed waits in memory with its details: of each instance the last maxDetailed
// crashes, of those before them only how many. So a process may die at any point, and
// Cloud Controller may be away for long: every crash that the pod counts is told in the
// end, at most one of them twice for each delivery that was under way at a death
// (InstanceReportsOptions.Workers at most). A repeat may know less than the first
// report did, when the container died again in between: it says "details unknown".
//
// A pod that vanishes takes its marks along. What was noticed of it before is still
// told, by the process that noticed it; if that dies as well before Cloud Controller has
// answered, it is lost. A finalizer on every pod would prevent it, at the price that no pod
// could be replaced while Irene is away. Of one LRP at most maxGone reports wait for
// instances that are gone; the oldest are dropped, logged and counted. For the same
// reason a move is told only by a process that saw the pod while it ended.
//
// # Who owns what
//
// Each Run owns its informers and the workers of its two loops (package reconcile): an eager
// one that decides or observes, and a patient one that delivers, so that a Cloud Controller
// that does not answer holds up deliveries only. They have ended when Run returns. The
// CloudController owns no goroutine but those of idle connections, which end by
// themselves. It keeps nothing between calls but connections.
package events
