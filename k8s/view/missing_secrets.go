package view

// pruneMissing is how many names missingSecrets may hold before the first pruning.
const pruneMissing = 1024

// missingSecrets holds the names of Secrets that may be missing, so that lists need not look up
// the Secret of every LRP. Every name that an LRP refers to and that is missing is in it. Names
// that no LRP refers to any longer stay until they are pruned. The view's lock guards it.
type missingSecrets struct {
	names   map[string]struct{}
	pruneAt int
}

// lrpChanged takes the name of the new version's Secret if that is missing.
func (v *View) lrpChanged(was, is *LRP, c *changes) {
	if is != nil && v.secretMissing(is) {
		v.addMissing(is.Secret)
	}
	labelledChanged(was, is, c)
}

// secretChanged takes the Secret's name if it can no longer be used, and drops it if it can.
func (v *View) secretChanged(was, is *Secret, c *changes) {
	if is == nil {
		v.addMissing(was.Name)
	} else if v.secretUsable(is.Name) {
		delete(v.missing.names, is.Name)
	} else {
		v.addMissing(is.Name)
	}
	labelledChanged(was, is, c)
}

func (v *View) addMissing(name string) {
	m := &v.missing
	m.names[name] = struct{}{}
	if len(m.names) < m.pruneAt {
		return
	}
	m.names = map[string]struct{}{}
	for _, lrp := range v.lrps.byUID {
		if v.secretMissing(lrp) {
			m.names[lrp.Secret] = struct{}{}
		}
	}
	m.pruneAt = pruneMissing + 2*len(m.names)
}

// listable reports whether the LRP's Secret is there. It returns the opposite of secretMissing,
// and looks at no Secret unless one may be missing.
func (v *View) listable(lrp *LRP) bool {
	if len(v.missing.names) == 0 {
		return true
	}
	_, doubtful := v.missing.names[lrp.Secret]
	return !doubtful || !v.secretMissing(lrp)
}
