package route

// Holds returns how many LRPs and addresses the table holds.
func (t *Table) Holds() int { return len(t.lrps) + len(t.addresses) }
