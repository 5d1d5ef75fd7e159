// Package events tells Cloud Controller what became of work that has ended: now of
// Jobs, which are builds and tasks.
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
//   - Sent: what stands there is posted to the URL in the Secret that has the Job's name
//     (keys.CallbackKey), again and again until Cloud Controller's answer is definite,
//     see Answer.Verdict. Pauses grow from a second to a minute, or to what Retry-After
//     says; they are two minutes and more after an answer that a person has to mend
//     something for. Jobs are independent of each other; there is no order among them.
//   - Marked: the answer is written into keys.OutcomeAnswer. Nothing is sent of such a
//     Job any more, nor of one without a callback, whose mark says so. It stays for
//     TombstoneTTL, so that a late repeat of its request finds it, and is deleted then;
//     one that somebody else deletes goes at once.
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
// # Who owns what
//
// Run owns the informers and all workers; they have ended when it returns. The
// CloudController owns no goroutine but those of idle connections, which end by
// themselves. It keeps nothing between calls but connections.
package events
