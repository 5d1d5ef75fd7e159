package bbs

import (
	"fmt"
	"slices"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// maxActionDepth bounds how deep actions are nested. Cloud Controller's deepest tree has 5.
const maxActionDepth = 16

// node is an action with its place in the request, such as "action.codependent.actions[1]".
type node struct {
	path   string
	action *models.Action
}

// kind returns the name of the action's only member. An action is not a oneof on the wire.
func (n node) kind() (string, error) {
	var found []string
	if a := n.action; a != nil {
		for _, member := range []struct {
			name  string
			isSet bool
		}{
			{"download", a.DownloadAction != nil},
			{"upload", a.UploadAction != nil},
			{"run", a.RunAction != nil},
			{"timeout", a.TimeoutAction != nil},
			{"emit_progress", a.EmitProgressAction != nil},
			{"try", a.TryAction != nil},
			{"parallel", a.ParallelAction != nil},
			{"serial", a.SerialAction != nil},
			{"codependent", a.CodependentAction != nil},
		} {
			if member.isSet {
				found = append(found, member.name)
			}
		}
	}
	switch len(found) {
	case 0:
		return "", opi.Invalid(n.path, "has no action")
	case 1:
		return found[0], nil
	}
	return "", opi.Invalid(n.path, "is %s and %s at once", found[0], found[1])
}

// children returns the actions below, of an action with any number of them.
func (n node) children(kind string) []node {
	switch kind {
	case "timeout":
		return []node{{n.path + ".timeout.action", n.action.TimeoutAction.Action}}
	case "emit_progress":
		return []node{{n.path + ".emit_progress.action", n.action.EmitProgressAction.Action}}
	case "try":
		return []node{{n.path + ".try.action", n.action.TryAction.Action}}
	case "parallel":
		return n.list(kind, n.action.ParallelAction.Actions)
	case "serial":
		return n.list(kind, n.action.SerialAction.Actions)
	case "codependent":
		return n.list(kind, n.action.CodependentAction.Actions)
	}
	return nil
}

func (n node) list(kind string, actions []*models.Action) []node {
	children := make([]node, len(actions))
	for i, action := range actions {
		children[i] = node{fmt.Sprintf("%s.%s.actions[%d]", n.path, kind, i), action}
	}
	return children
}

// single returns the action itself, or the only one in serial and parallel actions around it.
func (n node) single() (node, string, error) {
	for range maxActionDepth {
		kind, err := n.kind()
		if err != nil || kind != "serial" && kind != "parallel" {
			return n, kind, err
		}
		children := n.children(kind)
		if len(children) != 1 {
			return n, "", opi.Invalid(n.path+"."+kind, "has %d actions where one is supported", len(children))
		}
		n = children[0]
	}
	return n, "", opi.Invalid(n.path, "is nested more than %d deep", maxActionDepth)
}

// leaves returns the actions at the ends of a tree whose inner actions all have one of the
// given kinds, in order. The error is about the first action that is of another kind.
func (n node) leaves(inner ...string) ([]leaf, error) {
	return n.leavesBelow(maxActionDepth, inner)
}

// leaf is an action that has no others below.
type leaf struct {
	node
	kind string
	// isTried is set if the action may fail, inParallel if others run at the same time.
	isTried, inParallel bool
}

func (n node) leavesBelow(depth int, inner []string) ([]leaf, error) {
	if depth == 0 {
		return nil, opi.Invalid(n.path, "is nested more than %d deep", maxActionDepth)
	}
	kind, err := n.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "run", "download", "upload":
		return []leaf{{node: n, kind: kind}}, nil
	}
	if !slices.Contains(inner, kind) {
		return nil, opi.Invalid(n.path+"."+kind, "is not supported here")
	}
	var leaves []leaf
	for _, child := range n.children(kind) {
		below, err := child.leavesBelow(depth-1, inner)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, below...)
	}
	for i := range leaves {
		leaves[i].isTried = leaves[i].isTried || kind == "try"
		leaves[i].inParallel = leaves[i].inParallel || kind == "parallel" && len(leaves) > 1
	}
	return leaves, nil
}
