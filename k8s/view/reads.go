package view

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/opi"
)

// LRP returns the StatefulSet of an identity: the oldest that is not being
// deleted. There should be one; Twins tells of more.
func (v *View) LRP(id opi.LRPIdentifier) (LRP, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if oldest := v.oldest(id); oldest != nil {
		return *oldest, true
	}
	return LRP{}, false
}

// Twins returns all StatefulSets of an identity that are not being deleted, the
// oldest first: those after the first should go.
func (v *View) Twins(id opi.LRPIdentifier) []LRP {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var twins []LRP
	for _, lrp := range v.lrps.groups[id] {
		if v.alive(lrp) {
			twins = append(twins, *lrp)
		}
	}
	slices.SortFunc(twins, func(a, b LRP) int {
		if a.olderThan(&b) {
			return -1
		}
		return 1
	})
	return twins
}

// LRPs returns every identity once, in no order: as LRP would, without those
// whose Secret is missing (see SecretMissing). Cloud Controller's next sync
// desires what is left out again, and so rewrites the Secret.
//
// The StatefulSet of another replica may arrive before the Secret that was
// written before it, because their watches are independent. Such an LRP is left
// out for the milliseconds until the Secret arrives. That is harmless: at worst a
// sync that falls into them desires an LRP that is there, which changes nothing.
// It can't last, because nothing is remembered: each call looks at the Secrets
// anew.
func (v *View) LRPs() []LRP {
	var lrps []LRP
	v.EachLRP(func(lrp *LRP) { lrps = append(lrps, *lrp) })
	return lrps
}

// EachLRP visits what LRPs returns without copying it: of 100,000 LRPs that takes longer
// than all else. The visitor must be quick and call nothing of the view. An LRP never changes
// once it is in the view, so the visitor may keep pointers for reading.
func (v *View) EachLRP(visit func(*LRP)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, group := range v.lrps.groups {
		if oldest := v.oldestOf(group); oldest != nil && v.listable(oldest) {
			visit(oldest)
		}
	}
}

// SecretMissing is whether the LRP names a Secret that is not in the view or is
// being deleted, so that new instances could not start.
func (v *View) SecretMissing(lrp LRP) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.secretMissing(&lrp)
}

// Pods returns the pods of a StatefulSet by index, those being deleted included.
// Of two at one index the one that matters more comes first.
func (v *View) Pods(owner types.UID) []Pod {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.podsOf(owner)
}

// PodAt returns the pod at an index of a StatefulSet, be it being deleted or not.
func (v *View) PodAt(owner types.UID, index int) (Pod, bool) {
	for _, pod := range v.Pods(owner) {
		if pod.Index == index {
			return pod, true
		}
	}
	return Pod{}, false
}

// Secrets returns the Secrets of an identity, in no order, those being deleted
// included.
func (v *View) Secrets(id opi.LRPIdentifier) []Secret {
	v.mu.RLock()
	defer v.mu.RUnlock()
	secrets := make([]Secret, 0, len(v.secrets.groups[id]))
	for _, secret := range v.secrets.groups[id] {
		secrets = append(secrets, v.readSecret(secret))
	}
	return secrets
}

// Budget returns the PodDisruptionBudget of that name, be it being deleted or not.
func (v *View) Budget(name string) (Budget, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	budget, ok := v.budgets.byName[name]
	if !ok {
		return Budget{}, false
	}
	return v.readBudget(budget), true
}

func (v *View) oldest(id opi.LRPIdentifier) *LRP { return v.oldestOf(v.lrps.groups[id]) }

func (v *View) oldestOf(group []*LRP) *LRP {
	var oldest *LRP
	for _, lrp := range group {
		if v.alive(lrp) && (oldest == nil || lrp.olderThan(oldest)) {
			oldest = lrp
		}
	}
	return oldest
}

func (v *View) alive(lrp *LRP) bool {
	_, buried := v.lrps.tombstones.buried(lrp.UID)
	return !buried && !lrp.Deleting
}

func (v *View) secretMissing(lrp *LRP) bool {
	return lrp.Secret != "" && !v.secretUsable(lrp.Secret)
}

func (v *View) secretUsable(name string) bool {
	secret, ok := v.secrets.byName[name]
	if !ok || secret.Deleting {
		return false
	}
	_, buried := v.secrets.tombstones.buried(secret.UID)
	return !buried
}

func (v *View) podsOf(owner types.UID) []Pod {
	pods := make([]Pod, 0, len(v.pods.groups[owner]))
	for _, pod := range v.pods.groups[owner] {
		read := *pod
		if at, buried := v.pods.tombstones.buried(pod.UID); buried && read.Deleting == nil {
			read.Deleting = &at
		}
		pods = append(pods, read)
	}
	slices.SortFunc(pods, func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), comparePrecedence(&a, &b))
	})
	return pods
}

// comparePrecedence puts the pod first that stands for an index that has two,
// say one of each of two twins' owners: one that stays before one that goes, then
// the newer one.
func comparePrecedence(a, b *Pod) int {
	if aGoes, bGoes := a.Deleting != nil, b.Deleting != nil; aGoes != bGoes {
		if bGoes {
			return -1
		}
		return 1
	}
	return cmp.Or(time.Time.Compare(b.Created, a.Created), cmp.Compare(b.UID, a.UID))
}

func (v *View) readSecret(secret *Secret) Secret {
	read := *secret
	if _, buried := v.secrets.tombstones.buried(secret.UID); buried {
		read.Deleting = true
	}
	return read
}

func (v *View) readBudget(budget *Budget) Budget {
	read := *budget
	if _, buried := v.budgets.tombstones.buried(budget.UID); buried {
		read.Deleting = true
	}
	return read
}
