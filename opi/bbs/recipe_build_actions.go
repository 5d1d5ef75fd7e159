package bbs

import (
	"strconv"
	"strings"
	"time"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// buildActions are the actions of a build.
type buildActions struct {
	// timeout is 0 if there is no bound.
	timeout   time.Duration
	downloads []asset
	// builder has an action even if there is none in the message.
	builder run
	uploads []leaf
	// tried are the places of downloads that may fail.
	tried map[string]bool
}

// readBuildActions reads an action with downloads, the builder and uploads, in this order and
// within a time.
func readBuildActions(action *models.Action) (buildActions, error) {
	found := buildActions{builder: run{action: &models.RunAction{}}, tried: map[string]bool{}}
	root := node{"action", action}
	kind, err := root.kind()
	if err != nil {
		return found, err
	}
	if kind == "timeout" {
		timeout := action.TimeoutAction.TimeoutMs
		if timeout <= 0 {
			return found, opi.Invalid("action.timeout.timeout_ms", "must be positive, is %d", timeout)
		}
		found.timeout = milliseconds(uint64(timeout))
		root = root.children(kind)[0]
	}
	leaves, err := root.leaves("serial", "parallel", "emit_progress", "try")
	if err != nil {
		return found, err
	}
	for _, leaf := range leaves {
		hasRun := found.builder.path != ""
		path := leaf.path + "." + leaf.kind
		switch {
		case leaf.kind == "download" && !hasRun:
			download := leaf.download()
			found.downloads = append(found.downloads, download)
			found.tried[download.path] = leaf.isTried
		case leaf.isTried:
			return found, opi.Invalid(path, "must not fail, but is tried")
		case leaf.kind == "upload" && hasRun:
			found.uploads = append(found.uploads, leaf)
		case leaf.kind != "run" || hasRun || leaf.inParallel:
			return found, opi.Invalid(path, "is not supported: a build has downloads, then one run, then uploads")
		case leaf.run().program() != builderPath:
			return found, opi.Invalid(path, "path %q is not the builder", shorten(leaf.action.RunAction.Path))
		default:
			if found.builder = leaf.run(); found.builder.checkOptions() != nil {
				return found, found.builder.checkOptions()
			}
		}
	}
	if found.builder.path == "" {
		return found, opi.Invalid("action", "has no run of the builder")
	}
	return found, nil
}

// builderFlags are the arguments of the builder, in the forms "-name=value" of the one for
// buildpacks and of the one for docker images.
type builderFlags struct {
	// buildpackOrder are keys of buildpacks and addresses of custom ones.
	buildpackOrder             []string
	skipDetect, skipCertVerify bool

	appFolder, cacheFolder, buildpacksFolder string
	dropletFile, cacheFile                   string

	dockerReference, dockerUser, dockerPassword string
}

// readBuilderFlags reads the arguments of the builder. Values are not quoted in errors, since
// they may be secret.
func readBuilderFlags(builder run) (builderFlags, error) {
	// The builder's own defaults.
	flags := builderFlags{
		appFolder: "/tmp/app", cacheFolder: "/tmp/cache", buildpacksFolder: "/tmp/buildpacks",
		dropletFile: "/tmp/droplet", cacheFile: "/tmp/output-cache",
	}
	for i, argument := range builder.action.Args {
		name, value, hasValue := strings.Cut(argument, "=")
		known := hasValue
		var err error
		switch name {
		case "-buildpackOrder":
			if value != "" {
				flags.buildpackOrder = strings.Split(value, ",")
			}
		case "-skipDetect":
			flags.skipDetect, err = strconv.ParseBool(value)
		case "-skipCertVerify":
			flags.skipCertVerify, err = strconv.ParseBool(value)
		case "-buildDir":
			flags.appFolder = value
		case "-buildArtifactsCacheDir":
			flags.cacheFolder = value
		case "-buildpacksDir":
			flags.buildpacksFolder = value
		case "-outputDroplet":
			flags.dropletFile = value
		case "-outputBuildArtifactsCache":
			flags.cacheFile = value
		case "-dockerRef":
			flags.dockerReference = value
		case "-dockerUser":
			flags.dockerUser = value
		case "-dockerPassword":
			flags.dockerPassword = value
		case "-outputMetadata", "-outputMetadataJSONFilename", "-insecureDockerRegistries":
		default:
			known = false
		}
		if !known || err != nil {
			return flags, opi.Invalid(builder.path+".args["+strconv.Itoa(i)+"]", "is not a flag of the builder with its value")
		}
	}
	return flags, nil
}
