package view

// What follows lets an object share its strings with those of other resources
// that have the same, whichever came first.

func (v *View) admitLRP(l *LRP) {
	if pods := v.pods.groups[l.UID]; len(pods) > 0 {
		l.LRPIdentifier = sameIdentifier(l.LRPIdentifier, pods[0].LRPIdentifier)
		l.UID, l.AppGUID = pods[0].Owner, same(l.AppGUID, pods[0].AppGUID)
	} else if secrets := v.secrets.groups[l.LRPIdentifier]; len(secrets) > 0 {
		l.LRPIdentifier = secrets[0].LRPIdentifier
	}
	if secret, ok := v.secrets.byName[l.Secret]; ok {
		l.Secret = secret.Name
	}
}

func (v *View) admitPod(p *Pod) {
	if owner, ok := v.lrps.byUID[p.Owner]; ok {
		p.LRPIdentifier = sameIdentifier(p.LRPIdentifier, owner.LRPIdentifier)
		p.Owner, p.AppGUID = owner.UID, same(p.AppGUID, owner.AppGUID)
	} else if siblings := v.pods.groups[p.Owner]; len(siblings) > 0 {
		p.LRPIdentifier = sameIdentifier(p.LRPIdentifier, siblings[0].LRPIdentifier)
		p.Owner, p.AppGUID = siblings[0].Owner, same(p.AppGUID, siblings[0].AppGUID)
	}
}

func (v *View) admitSecret(s *Secret) {
	if lrps := v.lrps.groups[s.LRPIdentifier]; len(lrps) > 0 {
		s.LRPIdentifier = lrps[0].LRPIdentifier
		s.Owner, s.Name = same(s.Owner, lrps[0].UID), same(s.Name, lrps[0].Secret)
	}
}

func (v *View) admitBudget(b *Budget) {
	if owner, ok := v.lrps.byUID[b.Owner]; ok {
		b.LRPIdentifier = sameIdentifier(b.LRPIdentifier, owner.LRPIdentifier)
		b.Owner, b.Name = owner.UID, same(b.Name, owner.Name)
	}
}
