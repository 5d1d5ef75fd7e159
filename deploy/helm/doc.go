// Package helm tests the chart irene as users get it, with helm itself: what it renders
// for a few values files (golden files, written anew with -update), what it refuses, and
// that its documentation tells all of its rights.
//
// The tests stand behind the build tag chart; "make test-chart" builds helm and runs them.
package helm
