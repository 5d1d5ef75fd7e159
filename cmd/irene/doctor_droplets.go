package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/opi"
)

const (
	// maxTriedDroplets bounds the droplets that are tried until one can be fetched. An app
	// may be on its way out, and its droplet deleted.
	maxTriedDroplets = 3

	fetchedDropletCheck = "droplets.source droplet"
)

// examineDropletSource fetches a droplet, as an assembly does that the registry lacks it
// for.
func examineDropletSource(ctx context.Context, e examination) []finding {
	if e.config.Registry.Address == "" {
		return nil
	}
	const check = "droplets.source"
	settings := e.config.Droplets.Source
	source, err := newDropletSource(e.config, nil, lager.NewLogger("doctor"))
	switch {
	case err != nil:
		return []finding{failed(check, err, "correct the key, or the file that it names")}
	case source == nil:
		return []finding{fine(check, "none: apps run only what was staged here")}
	}
	address, err := source.Address()
	if err != nil {
		return []finding{failed(check, err, "correct the file of droplets.source.url_file")}
	}
	files := tlsFiles{
		section: check, ca: settings.CAFile, certificate: settings.CertificateFile, key: settings.KeyFile, systemAuthorities: true,
		whatIfRefused: check + ".certificate_file must be one that the source's authority signed, for client authentication",
		whatIfAway:    "see that it runs and that it can be reached from here; apps whose droplets the registry has start without it",
	}
	found := files.look(e)
	if settings.CloudController != "" {
		found = append(found, finding{Check: "droplets.source.cloud_controller", Verdict: verdictWarning, Found: cloudControllerIsNoSource, Mend: mendDropletSource})
	}
	reached := files.try(ctx, e, address)
	if settings.PlainHTTP && strings.HasSuffix(reached.Found, "without TLS") {
		reached.Verdict, reached.Mend = verdictOK, "" // configured so
	}
	if found = append(found, reached); reached.Verdict == verdictFailed || reached.Verdict == verdictUnknown {
		return found
	}
	return append(found, e.fetchDroplet(ctx, source))
}

// mendDropletSource is what helps against most failures.
const mendDropletSource = "set droplets.source.url to where Cloud Controller's blobstore has droplets (docs/configuration.md, Where droplets are fetched from)"

// fetchDroplet tries the droplet that was asked for, or those of some apps.
func (e examination) fetchDroplet(ctx context.Context, source bits.DropletSource) finding {
	candidates := []opi.LRP{{Droplet: &e.droplet}}
	if e.droplet.GUID == "" {
		var err error
		candidates, err = k8s.RecordedDroplets(ctx, e.clients.Typed, e.config.Kubernetes.Namespace, maxTriedDroplets)
		if err != nil {
			return finding{Check: fetchedDropletCheck, Verdict: verdictUnknown, Found: lateAnswer(ctx, err).Error()}
		}
	}
	if len(candidates) == 0 {
		return finding{Check: fetchedDropletCheck, Verdict: verdictUnknown, Found: "not tried: no app here runs a droplet",
			Mend: "irene doctor --droplet GUID/SHA1 fetches one, named as the keys of the blobstore end"}
	}
	var reasons []error
	for _, lrp := range candidates {
		droplet := lrp.Droplet
		checked, err := bits.CheckDroplet(ctx, source, *droplet, lrp.GUID)
		switch {
		case err != nil:
			reasons = append(reasons, lateAnswer(ctx, err))
			continue
		case checked.Complete:
			return fine(fetchedDropletCheck, "fetched %s/%s, %d bytes; its checksum is right", droplet.GUID, droplet.Checksum.Value, checked.Bytes)
		}
		return fine(fetchedDropletCheck, "fetched the first %d bytes of %s/%s within %s", checked.Bytes, droplet.GUID, droplet.Checksum.Value, examinationPatience)
	}
	return failed(fetchedDropletCheck, errors.Join(reasons...), mendDropletSource)
}

var dropletKey = regexp.MustCompile(`^(?:.*/)?([^/]+)/([0-9a-f]{40})$`)

// dropletOfKey reads the end of a key in a blobstore of Cloud Controller.
func dropletOfKey(key string) (opi.Droplet, error) {
	parts := dropletKey.FindStringSubmatch(strings.ToLower(key))
	if parts == nil {
		return opi.Droplet{}, fmt.Errorf("%q does not end with the guid of a droplet, a slash, and its SHA-1", key)
	}
	return opi.Droplet{GUID: parts[1], Checksum: opi.Checksum{Algorithm: "sha1", Value: parts[2]}}, nil
}
