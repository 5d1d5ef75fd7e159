package bits

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/platform"
)

// BuildRepository returns the repository that builds push to if the registry takes
// credentials of builds (package credential), and "" if it does not. While the registry
// can't be asked, its last answer counts; without one the error wraps opi.ErrUnavailable.
func (r *Registry) BuildRepository(ctx context.Context) (string, error) {
	takes, err := r.takesBuildCredentials(ctx)
	if err != nil {
		last := r.buildCredentials.Load()
		if last == nil {
			return "", r.failed("ask the registry whether it takes credentials of builds", err)
		}
		takes = *last
	} else {
		r.buildCredentials.Store(&takes)
	}
	if !takes {
		return "", nil
	}
	return r.droplets().RepositoryStr(), nil
}

func (r *Registry) takesBuildCredentials(ctx context.Context) (bool, error) {
	login, err := r.host.login(ctx, r.droplets().Scope(transport.PullScope))
	if err != nil {
		return false, err
	}
	address := fmt.Sprintf("%s://%s/v2/", r.host.name.Scheme(), r.host.name.RegistryStr())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	response, err := login.RoundTrip(request)
	if err != nil {
		return false, err
	}
	defer platform.Discard(response)
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return false, err
	}
	return response.Header.Get(credential.BuildsHeader) != "", nil
}
