package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/irene-cf/irene/platform"
)

// Upload is a file to be sent to a URL that the platform made.
type Upload struct {
	// What it is, for people ("the droplet").
	What string
	URL  string
	// Optional means that the caller can go without the upload.
	Optional bool
	// Content is read from its beginning, and again for each attempt.
	Content *io.SectionReader
	// MD5 and SHA256 are the content's digests; nil when they are not known.
	MD5    []byte
	SHA256 []byte
}

// directPrefix is where Cloud Controller itself takes uploads. It wants a form and
// may go on working after its answer; its uploader wants just the file.
const directPrefix = "/internal/"

// formField and formFile are what Cloud Controller's uploader sends.
const (
	formField = "upload[droplet]"
	formFile  = "droplet.tgz"
)

// maxAnswer bounds how much of an answer is read.
const maxAnswer = 64 << 10

// Upload sends the file and returns when the server has it for good.
//
// Cloud Controllers that speak OPI make another droplet of each upload for the same build,
// and then can't complete the build: its state stays STAGING
// (DropletCreate#create_buildpack_droplet, StagingCompletionHandler#save_staging_result).
// So an upload is repeated only while Cloud Controller is not known to have taken it.
// After that, Upload asks whether it is stored.
func (c *Client) Upload(ctx context.Context, upload Upload) error {
	u, err := parse(upload.What, upload.URL)
	if err != nil {
		return err
	}
	within := c.patience.Outage
	if upload.Optional {
		within = c.patience.ShortOutage
	}
	var answer []byte
	err = c.retry(ctx, within, func() error {
		answer, err = c.post(ctx, upload, u)
		return err
	})
	var failed *Error
	if errors.As(err, &failed) && failed.job != nil {
		c.log.Line("Cloud Controller has taken %s; waiting until it is stored", upload.What)
		queued := job{}
		queued.Metadata.URL, queued.Entity.Status = failed.job.String(), "queued"
		return c.awaitJob(ctx, upload.What, failed.job, queued)
	}
	if err != nil || len(bytes.TrimSpace(answer)) == 0 {
		return err
	}
	var begun job
	if json.Unmarshal(answer, &begun) != nil || begun.Entity.Status == "" {
		return nil // without a job it is stored
	}
	return c.awaitJob(ctx, upload.What, u, begun)
}

// post makes one attempt and returns the server's answer.
func (c *Client) post(ctx context.Context, upload Upload, u *url.URL) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return nil, &Error{What: upload.What, Server: server(u), Why: "it can't be sent", final: true}
	}
	length := upload.Content.Size()
	body := io.Reader(io.NewSectionReader(upload.Content, 0, length))
	if strings.HasPrefix(u.Path, directPrefix) {
		before, after, contentType := form()
		body = io.MultiReader(strings.NewReader(before), body, strings.NewReader(after))
		length += int64(len(before) + len(after))
		request.Header.Set("Content-Type", contentType)
	} else {
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	if upload.MD5 != nil {
		request.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(upload.MD5))
	}
	if upload.SHA256 != nil {
		request.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(upload.SHA256)+":")
	}
	request.ContentLength = length
	request.Body = io.NopCloser(body)
	if length == 0 {
		// A body of no length would mean one of unknown length.
		request.Body = http.NoBody
	}

	response, err := platform.Do(c.presenting(u), request)
	if err != nil {
		return nil, connectionError(ctx, upload.What, u, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case response.StatusCode < 200 || response.StatusCode > 299:
		e := statusError(upload.What, u, response)
		if said := description(answer); said != "" {
			e.Why += ": " + said
		}
		e.judgeUploader(u, answer)
		return nil, e
	case err != nil:
		return nil, connectionError(ctx, upload.What, u, err)
	}
	return answer, nil
}

// form returns what stands before and after the file in a form, and its type.
func form() (before, after, contentType string) {
	boundary := rand.Text() // 26 letters and digits, in no droplet
	before = "--" + boundary + "\r\n" +
		`Content-Disposition: form-data; name="` + formField + `"; filename="` + formFile + `"` + "\r\n" +
		"Content-Type: application/octet-stream\r\n\r\n"
	return before, "\r\n--" + boundary + "--\r\n", "multipart/form-data; boundary=" + boundary
}

// description is what Cloud Controller says in words about an error; nothing else of
// an answer is ever shown.
func description(answer []byte) string {
	var said struct {
		Description string `json:"description"`
	}
	if json.Unmarshal(answer, &said) != nil || len(said.Description) > 300 || strings.Contains(said.Description, "://") {
		return ""
	}
	return said.Description
}

// job is Cloud Controller's answer to an upload that it goes on working at.
type job struct {
	Metadata struct {
		URL string `json:"url"`
	} `json:"metadata"`
	Entity struct {
		Status string `json:"status"`
	} `json:"entity"`
}

// awaitJob asks until Cloud Controller is done with a job. u is an address of the Cloud
// Controller that has the job.
func (c *Client) awaitJob(ctx context.Context, what string, u *url.URL, last job) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience.Answer, errNotDone)
	defer cancel()
	pause := time.NewTicker(c.patience.Poll)
	defer pause.Stop()
	for {
		switch last.Entity.Status {
		case "finished":
			return nil
		case "queued", "running":
		default:
			return &Error{What: what, Server: server(u), Why: notStored, final: true}
		}
		next, err := u.Parse(last.Metadata.URL)
		if err != nil || last.Metadata.URL == "" || server(next) != server(u) {
			return &Error{What: what, Server: server(u), Why: "Cloud Controller doesn't say on itself where to ask whether it is stored", final: true}
		}
		select {
		case <-pause.C:
			last, err = c.ask(ctx, what, next)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if errors.Is(err, errNotDone) {
			return &Error{What: what, Server: server(u), Why: fmt.Sprintf("Cloud Controller has not stored it within %s", c.patience.Answer), final: true}
		}
		if err != nil {
			return err
		}
	}
}

var errNotDone = errors.New("not done in time")

// ask reads the state of a job.
func (c *Client) ask(ctx context.Context, what string, u *url.URL) (job, error) {
	var state job
	err := c.retry(ctx, c.patience.Outage, func() error {
		response, u, err := c.get(ctx, what, u, c.presenting(u))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return statusError(what, u, response)
		}
		text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return connectionError(ctx, what, u, err)
		}
		if json.Unmarshal(text, &state) != nil {
			return &Error{What: what, Server: server(u), Why: "Cloud Controller's answer can't be read", final: true}
		}
		return nil
	})
	return state, err
}
