package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

// controlDesk is how another process works with the stand-in of Cloud Controller, and
// where Irene finds droplets:
//
//	GET  /                        200 when it is ready
//	PUT  /packages/{guid}         an app's source code, a zip archive
//	POST /builds                  a wantedBuild; answers a startedBuild
//	GET  /builds/{guid}           waits until it has ended and answers the standin.Build
//	PUT  /processes/{guid}        a keptDroplet, which a process runs; before it is desired
//	GET  /droplets/{guid}/{hash}  a droplet by its SHA-1
type controlDesk struct {
	server *standin.Server
	// droplets is the folder of droplets; those of builds are added when they end.
	droplets string
	log      *slog.Logger

	mutex sync.Mutex
	// files are those of packages and caches, which the stand-in never removes.
	files map[string]string
}

// wantedBuild is a build for a door, by its name.
type wantedBuild struct {
	standin.Build
	Door string
}

// startedBuild is a build in STAGING.
type startedBuild struct {
	GUID string
	// Request is what the door is asked for it with.
	Request []byte
}

// keptDroplet names a droplet in the folder of droplets, or none.
type keptDroplet struct{ GUID, SHA1 string }

func (d *controlDesk) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /packages/{guid}", d.addPackage)
	mux.HandleFunc("POST /builds", d.newBuild)
	mux.HandleFunc("GET /builds/{guid}", d.waitForBuild)
	mux.HandleFunc("PUT /processes/{guid}", d.addProcess)
	files := http.StripPrefix("/droplets/", http.FileServer(http.Dir(d.droplets)))
	mux.HandleFunc("GET /droplets/{guid}/{hash}", func(w http.ResponseWriter, r *http.Request) {
		// It shows when Irene fetches a droplet.
		d.log.Info("droplet", "method", r.Method, "path", r.URL.Path, "range", r.Header.Get("Range"))
		files.ServeHTTP(w, r)
	})
	return mux
}

func (d *controlDesk) addPackage(w http.ResponseWriter, r *http.Request) {
	blob, err := d.server.AddPackage(r.PathValue("guid"), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	d.supersede("package "+r.PathValue("guid"), blob.Path)
	d.log.Info("package", "guid", r.PathValue("guid"), "bytes", blob.Size)
}

func (d *controlDesk) newBuild(w http.ResponseWriter, r *http.Request) {
	var wanted wantedBuild
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
		http.Error(w, "the build: "+err.Error(), http.StatusBadRequest)
		return
	}
	started, err := d.startBuild(wanted)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.log.Info("build", "guid", started.GUID, "app", wanted.AppName, "door", wanted.Door)
	answerJSON(w, started)
}

func (d *controlDesk) startBuild(wanted wantedBuild) (startedBuild, error) {
	if wanted.Door == opiDoor {
		build, request, err := d.server.NewBuild(wanted.Build)
		if err != nil {
			return startedBuild{}, err
		}
		body, err := json.Marshal(request)
		return startedBuild{GUID: build.GUID, Request: body}, err
	}
	build, definition, err := d.server.NewStagingTask(wanted.Build)
	if err != nil {
		return startedBuild{}, err
	}
	body, err := definition.Marshal()
	return startedBuild{GUID: build.GUID, Request: body}, err
}

// addProcess registers a process, so that Irene can report its crashes and fetch its droplet.
func (d *controlDesk) addProcess(w http.ResponseWriter, r *http.Request) {
	var droplet keptDroplet
	if err := json.NewDecoder(r.Body).Decode(&droplet); err != nil {
		http.Error(w, "the droplet: "+err.Error(), http.StatusBadRequest)
		return
	}
	guid := r.PathValue("guid")
	if droplet.GUID != "" {
		if err := d.server.RunDropletFile(guid, filepath.Join(d.droplets, droplet.GUID, droplet.SHA1)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	d.server.AddProcess(guid)
	d.log.Info("process", "guid", guid, "droplet", droplet.GUID)
}

func (d *controlDesk) waitForBuild(w http.ResponseWriter, r *http.Request) {
	build, err := d.server.WaitForBuild(r.Context(), r.PathValue("guid"))
	if errors.Is(err, context.Canceled) {
		return // nobody waits any more
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if err := d.keepDroplet(build); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, request := range d.server.Received("", build.GUID) {
		d.log.Info("build", "guid", build.GUID, "request", request.Endpoint, "status", request.Status, "took", request.Took)
	}
	d.log.Info("build", "guid", build.GUID, "state", build.State, "error", build.ErrorID, "message", build.ErrorMessage)
	d.supersede("package "+build.Package, "")
	if cache, there := d.server.Cache(build.Stack, build.AppGUID); there {
		d.supersede("cache "+build.Stack+" "+build.AppGUID, cache.Path)
	}
	answerJSON(w, build)
}

// supersede removes the file that there was for something, if it is another one now; ""
// is none.
func (d *controlDesk) supersede(what, file string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	before := d.files[what]
	if d.files[what] = file; file == "" {
		delete(d.files, what)
	}
	if before == "" || before == file {
		return
	}
	if err := os.Remove(before); err != nil {
		d.log.Error("not removed", "what", what, "error", err)
	}
}

// keepDroplet puts a build's droplet where it outlives the stand-in, once.
func (d *controlDesk) keepDroplet(build standin.Build) error {
	if build.Droplet == nil || build.Droplet.Blob.Path == "" {
		return nil
	}
	file := filepath.Join(d.droplets, build.Droplet.GUID, build.Droplet.Blob.SHA1)
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("keep the droplet: %w", err)
	}
	if err := os.Rename(build.Droplet.Blob.Path, file); err != nil {
		return fmt.Errorf("keep the droplet: %w", err)
	}
	return nil
}

func answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the client may have gone
}
