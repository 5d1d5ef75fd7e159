package transfer

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps"
)

// Cloud Controllers of the time make another droplet of each upload for a build, and then
// can't complete the build. So what it took is not sent again.
func TestTheUploaderDoesNotKnowWhatBecameOfADroplet(t *testing.T) {
	const (
		target = "http://cc:9022/internal/v4/droplets/g/upload"
		jobURL = "http://cc:9022/internal/v4/staging_jobs/2f0c-1"
	)
	answer := func(state string) string {
		return `{"metadata":{"guid":"2f0c-1","url":"` + jobURL + `"},"entity":{"guid":"2f0c-1","status":"` + state + `"}}`
	}
	for name, test := range map[string]struct {
		// said is the uploader's text beside status 500, jobs are Cloud Controller's answers.
		said    string
		jobs    []string
		uploads int
		want    string
	}{
		"it was not reached":         {said: `Post "` + target + `?async=true": dial tcp 10.0.0.1:9022: connect: connection refused`, uploads: 2},
		"nothing is said":            {uploads: 2},
		"it was away afterwards":     {said: `Get "` + jobURL + `": dial tcp 10.0.0.1:9022: connect: connection refused`, jobs: []string{"away", "running", "finished"}, uploads: 1},
		"in the words of older Go":   {said: `Get ` + jobURL + `: EOF`, jobs: []string{"finished"}, uploads: 1},
		"it failed afterwards":       {said: `Get "` + jobURL + `": EOF`, jobs: []string{"running", "failed"}, uploads: 1, want: notStored},
		"it failed":                  {said: "upload job failed", uploads: 1, want: notStored},
		"something else answered":    {said: "invalid character '<' looking for beginning of value", uploads: 1, want: notKnown},
		"it answered with an error":  {said: "unknown job status: ", uploads: 1, want: notKnown},
		"another host was asked":     {said: `Get "http://elsewhere:9022/internal/v4/staging_jobs/2f0c-1": EOF`, uploads: 1, want: notKnown},
		"with a password":            {said: `Get "http://u:p@cc:9022/internal/v4/staging_jobs/2f0c-1": EOF`, uploads: 1, want: notKnown},
		"another address was asked":  {said: `Get "http://cc:9022/v3/apps": EOF`, uploads: 1, want: notKnown},
		"a path out of what is ours": {said: `Get "http://cc:9022/x?/staging_jobs/1": EOF`, uploads: 1, want: notKnown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				var log bytes.Buffer
				c := loggingClient(t, steps.TLSFiles{}, UsualPatience(), &log)
				uploads, asked := 0, 0
				c.plain = roundTrip(func(request *http.Request) (*http.Response, error) {
					switch {
					case request.Method == http.MethodPost:
						uploads++
						if uploads > 1 {
							return answerWith(request, http.StatusCreated, "")
						}
						return answerWith(request, http.StatusInternalServerError, test.said)
					case request.URL.String() != jobURL:
						t.Errorf("%s was asked for", request.URL)
						return nil, refused()
					}
					state := test.jobs[min(asked, len(test.jobs)-1)]
					asked++
					if state == "away" {
						return nil, refused()
					}
					return answerWith(request, http.StatusOK, answer(state))
				})
				began := time.Now()
				err := c.Upload(context.Background(), Upload{What: "the droplet", URL: "http://uploader/v1/droplet/g?cc-droplet-upload-uri=" + target, Content: section("content")})
				if test.want == "" {
					g.Expect(err).NotTo(HaveOccurred())
				} else {
					g.Expect(err).To(MatchError(HaveSuffix(": " + test.want)))
				}
				g.Expect(uploads).To(Equal(test.uploads))
				g.Expect(time.Since(began)).To(BeNumerically("<", time.Minute))
				if len(test.jobs) > 0 {
					g.Expect(log.String()).To(HavePrefix("Cloud Controller has taken the droplet; waiting until it is stored\n"))
				}
			})
		})
	}
}

func TestCloudControllerIsAwayDuringAnUpload(t *testing.T) {
	for name, test := range map[string]struct {
		fault standin.Fault
		want  string
	}{
		"the uploader":        {fault: standin.Fault{Endpoint: standin.DropletUpload, Cut: true, Times: 3}},
		"before it took it":   {fault: standin.Fault{Endpoint: standin.DropletStore, Status: 503, Times: 3}},
		"when it is asked":    {fault: standin.Fault{Endpoint: standin.StagingJob, Cut: true, Times: 3}},
		"another one answers": {fault: standin.Fault{Endpoint: standin.StagingJob, Status: 502, Times: 1}, want: notKnown},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			cc, err := standin.Start(standin.Options{})
			g.Expect(err).NotTo(HaveOccurred())
			defer func() { g.Expect(cc.Close()).To(Succeed()) }()
			_, err = cc.AddPackage("package", strings.NewReader("source"))
			g.Expect(err).NotTo(HaveOccurred())
			build, request, err := cc.NewBuild(standin.Build{Package: "package", Buildpacks: []string{"https://github.com/cloudfoundry/ruby-buildpack"}})
			g.Expect(err).NotTo(HaveOccurred())
			cc.Fail(test.fault)
			lifecycle := request["lifecycle"].(map[string]any)["buildpack_lifecycle"].(map[string]any)
			patience := hasty()
			patience.Answer = 2 * time.Second
			err = upload(t, client(t, steps.TLSFiles{}, patience), lifecycle["droplet_upload_uri"].(string), "content")
			if test.want != "" {
				g.Expect(err).To(MatchError(HaveSuffix(test.want)))
			} else {
				g.Expect(err).NotTo(HaveOccurred())
			}
			after, _ := cc.Build(build.GUID)
			g.Expect(after.Uploads).To(Equal(1), "or Cloud Controller can't complete the build")
		})
	}
}
