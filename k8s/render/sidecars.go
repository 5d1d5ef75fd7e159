package render

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/sidecars"
)

// sidecarsOf returns the LRP's processes next to the app.
func sidecarsOf(lrp opi.LRP) []opi.Process {
	if len(lrp.Processes) < 2 {
		return nil
	}
	return lrp.Processes[1:]
}

// ownVariables returns the names of the variables that a sidecar has apart from the app's, in
// order. What describes the container, and what the platform sets for all processes of a
// droplet, is the same for all of them. own are the variables that describe the container.
func ownVariables(sidecar opi.Process, own []corev1.EnvVar) []string {
	names := slices.Sorted(maps.Keys(sidecar.Environment))
	return slices.DeleteFunc(names, func(name string) bool {
		switch name {
		case "HOME", "USER", "TMPDIR", "START_COMMAND":
			return true
		}
		return slices.ContainsFunc(own, func(v corev1.EnvVar) bool { return v.Name == name })
	})
}

// sidecarArguments returns launch's arguments for an LRP with sidecars, nil for one without.
func sidecarArguments(lrp opi.LRP, own []corev1.EnvVar) ([]string, error) {
	if len(sidecarsOf(lrp)) == 0 {
		return nil, nil
	}
	members := sidecars.Members{App: sidecars.AppSource(lrp.ProcessType)}
	for n, process := range sidecarsOf(lrp) {
		sidecar := sidecars.Sidecar{
			Source:  sidecars.SourceOf(members.App, process.Name),
			Command: strings.Join(process.Command, " "),
		}
		for _, name := range ownVariables(process, own) {
			if sidecar.Environment == nil {
				sidecar.Environment = map[string]string{}
			}
			sidecar.Environment[name] = sidecars.Variable(n+1, name)
		}
		members.Sidecars = append(members.Sidecars, sidecar)
	}
	arguments, err := members.Arguments()
	if err != nil {
		return nil, err
	}
	return literals(arguments), nil
}

// checkSidecars refuses sidecars that launch can't run as they were desired.
func checkSidecars(lrp opi.LRP) error {
	if len(sidecarsOf(lrp)) == 0 {
		return nil
	}
	var errs []error
	if lrp.Droplet == nil {
		errs = append(errs, opi.Invalid("processes", "sidecars are supported for apps from droplets only: a docker image lacks the program that runs them next to the app"))
	}
	for _, name := range slices.Sorted(maps.Keys(lrp.Environment)) {
		if sidecars.IsVariable(name) {
			errs = append(errs, opi.Invalid("environment."+opi.Shorten(name, 80), "names that begin like this one are the platform's in an app with sidecars"))
		}
	}
	arguments, err := sidecarArguments(lrp, nil)
	errs = append(errs, err)
	for n, process := range sidecarsOf(lrp) {
		field := fmt.Sprintf("processes[%d]", n+1)
		if strings.TrimSpace(strings.Join(process.Command, " ")) == "" {
			errs = append(errs, opi.Invalid(field+".command", "is missing; a sidecar has a command of its own"))
		}
		// The first argument is the app's. A '$' counts twice, since it is doubled for kubelet.
		if err == nil && len(arguments[n+1]) > opi.MaxVariableBytes {
			errs = append(errs, opi.Invalid(field+".command", "is too long for Linux to pass on: at most %d bytes with the sidecar's name and the names of its variables", opi.MaxVariableBytes))
		}
		for _, name := range ownVariables(process, nil) {
			if size := len(sidecars.Variable(n+1, name)) + len("=") + len(process.Environment[name]); size > opi.MaxVariableBytes {
				errs = append(errs, opi.Invalid(field+".environment."+opi.Shorten(name, 80), "has %d bytes as the platform passes it on, more than the %d that Linux passes to a program in one variable", size, opi.MaxVariableBytes))
			}
		}
	}
	return errors.Join(errs...)
}
