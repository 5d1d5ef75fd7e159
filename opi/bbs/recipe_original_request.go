package bbs

import (
	"fmt"
	"net/url"
	"strings"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// originalRequest returns the message for people to read, as compact JSON in the form that
// cfdot prints. It has no environment, credentials, keys and contents of files, nor the
// configuration of volumes, and of addresses not what signs them. It has no routes of unknown kinds, either.
func originalRequest(wire *models.DesiredLRP) (string, error) {
	public := *wire
	public.EnvironmentVariables = nil
	public.ImageUsername, public.ImagePassword = "", ""
	// What is checked stands in the check definition.
	public.Monitor = nil
	public.Setup = withoutSecrets(wire.Setup)
	public.Action = withoutSecrets(wire.Action)
	public.Routes = knownRoutes(wire.Routes)
	public.ImageLayers = each(wire.ImageLayers, func(layer models.ImageLayer) models.ImageLayer {
		layer.Url = withoutSignature(layer.Url)
		return layer
	})
	public.CachedDependencies = each(wire.CachedDependencies, func(dependency models.CachedDependency) models.CachedDependency {
		dependency.From = withoutSignature(dependency.From)
		return dependency
	})
	public.VolumeMounts = each(wire.VolumeMounts, func(mount models.VolumeMount) models.VolumeMount {
		if mount.Shared != nil {
			mount.Shared = &models.SharedDevice{VolumeId: mount.Shared.VolumeId}
		}
		return mount
	})
	public.VolumeMountedFiles = each(wire.VolumeMountedFiles, func(file models.File) models.File {
		return models.File{Path: file.Path}
	})
	text, err := opi.EncodeJSON(&public)
	if err != nil {
		return "", fmt.Errorf("encode request for annotation: %w", err)
	}
	return string(text), nil
}

// each returns the list with every element changed. The elements of the list given stay as
// they are.
func each[T any](list []*T, change func(T) T) []*T {
	var changed []*T
	for _, element := range list {
		if element != nil {
			element = new(change(*element))
		}
		changed = append(changed, element)
	}
	return changed
}

// withoutSecrets returns an action that the recipe takes: of serial, parallel and codependent
// actions around runs and downloads, what is not secret.
func withoutSecrets(action *models.Action) *models.Action {
	switch {
	case action == nil:
		return nil
	case action.RunAction != nil:
		run := *action.RunAction
		run.Env = nil
		if run.Path != launcherPath {
			run.Args = nil // the keys of the SSH daemon
		}
		return &models.Action{RunAction: &run}
	case action.DownloadAction != nil:
		download := *action.DownloadAction
		download.From = withoutSignature(download.From)
		return &models.Action{DownloadAction: &download}
	case action.SerialAction != nil:
		return &models.Action{SerialAction: &models.SerialAction{Actions: allWithoutSecrets(action.SerialAction.Actions)}}
	case action.ParallelAction != nil:
		return &models.Action{ParallelAction: &models.ParallelAction{Actions: allWithoutSecrets(action.ParallelAction.Actions)}}
	case action.CodependentAction != nil:
		return &models.Action{CodependentAction: &models.CodependentAction{Actions: allWithoutSecrets(action.CodependentAction.Actions)}}
	}
	return nil
}

func allWithoutSecrets(actions []*models.Action) []*models.Action {
	var public []*models.Action
	for _, action := range actions {
		public = append(public, withoutSecrets(action))
	}
	return public
}

// knownRoutes returns the routes of the kinds that are not secret. Who sends another kind may
// keep a secret in it, as the route for SSH does.
func knownRoutes(routes *models.Routes) *models.Routes {
	if routes == nil {
		return nil
	}
	public := models.Routes{}
	for _, key := range []string{httpKind, tcpKind, internalKind} {
		if value, ok := (*routes)[key]; ok {
			public[key] = value
		}
	}
	return &public
}

// withoutSignature returns the address without user information and query.
func withoutSignature(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
	return strings.TrimSuffix(parsed.String(), "?")
}
