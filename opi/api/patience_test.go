package api_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// endless has a back end that waits for the API server until the request ends.
type endless struct{ backEnd }

func (e *endless) Desire(ctx context.Context, _ opi.LRP) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", opi.ErrUnavailable, context.Cause(ctx))
}

func TestRequestsEndWithinTheirPatience(t *testing.T) {
	g := NewWithT(t)
	handler := api.NewHandler(api.Options{
		LRPs: &endless{}, Refusals: opi.NewRefusals(), Logger: lager.NewLogger("test"), Patience: 10 * time.Millisecond,
	})
	response := callHandler(handler, http.MethodPut, goldenPath, golden(t, nil))
	g.Expect(response.Code).To(Equal(http.StatusServiceUnavailable))
}
