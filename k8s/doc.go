// Package k8s is the back end: it turns LRPs into Kubernetes objects, keeps
// those objects whole, and answers for them.
//
// What it promises:
//
//   - One commit point: a desired LRP exists when its StatefulSet exists. Before
//     the StatefulSet at most one Secret is written; everything else that an LRP
//     needs (owner references, PodDisruptionBudget) is derived from the
//     StatefulSet by Companions, which may be killed at any instruction.
//   - Identity is the pair of labels guid and version; names are for people.
//   - A template never changes once written: updates touch replicas and
//     annotations. Two exceptions change image and revision only: StackRoll, which
//     an operator asks for, and LostImages, when the old image can't be made any more.
//   - Reads come from the view (package view) and cost no API call on a hit, one
//     on a miss.
//   - Secret values live in the LRP's Secret, never in a StatefulSet. Digests of them are
//     made with a key (DigestKey), so that nobody can check guesses.
//
// The translation (Translation.Render, and TaskPod for package tasks) is pure. LRPs holds no
// goroutine; Companions, LostNodes, LostImages, PullSecret and StackRoll own the
// goroutines that their Run starts and stop them before Run returns.
package k8s
