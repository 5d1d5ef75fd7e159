package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// Space and organization of all apps.
var (
	space        = cloudcontroller.Owner{GUID: "b2cbd7a4-5f0f-4ea0-9d8b-6c1e2a3f4d05", Name: "demo"}
	organization = cloudcontroller.Owner{GUID: "c3dce8b5-6010-4fb1-8e9c-7d2f3b405e16", Name: "irene"}
)

// appDomain is the domain of all routes: names below .localhost lead to this machine for curl
// and browsers, without DNS.
const appDomain = "localhost"

// processOfRequest makes a process of the body of a request to the OPI door. Its variables
// keep what Cloud Controller would set.
func processOfRequest(body []byte) (cloudcontroller.Process, error) {
	var request struct {
		GUID        string            `json:"guid"`
		Version     string            `json:"version"`
		Type        string            `json:"process_type"`
		AppGUID     string            `json:"app_guid"`
		AppName     string            `json:"app_name"`
		Instances   int               `json:"instances"`
		MemoryMB    int               `json:"memory_mb"`
		DiskMB      int               `json:"disk_mb"`
		HealthCheck string            `json:"health_check_type"`
		LastUpdated string            `json:"last_updated"`
		Environment map[string]string `json:"environment"`
		Routes      map[string][]struct{ Hostname string }
		Lifecycle   struct {
			Buildpack struct {
				Command string `json:"start_command"`
				Droplet string `json:"droplet_guid"`
				Hash    string `json:"droplet_hash"`
			} `json:"buildpack_lifecycle"`
		}
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return cloudcontroller.Process{}, fmt.Errorf("read a request: %w", err)
	}
	updated, err := strconv.ParseFloat(request.LastUpdated, 64)
	if err != nil {
		return cloudcontroller.Process{}, fmt.Errorf("read a request: last_updated: %w", err)
	}
	process := cloudcontroller.Process{
		App: cloudcontroller.Owner{GUID: request.AppGUID, Name: request.AppName}, Space: space, Organization: organization,
		Type: request.Type, GUID: request.GUID, Version: request.Version, Instances: request.Instances,
		Command: request.Lifecycle.Buildpack.Command, Stack: stackName,
		Droplet:  cloudcontroller.ProcessDroplet{GUID: request.Lifecycle.Buildpack.Droplet, SHA1: request.Lifecycle.Buildpack.Hash},
		MemoryMB: request.MemoryMB, DiskMB: request.DiskMB, HealthCheck: request.HealthCheck,
		Environment: request.Environment, UpdatedAt: time.UnixMicro(int64(updated * 1e6)),
	}
	for _, route := range request.Routes["cf-router"] {
		process.Hostnames = append(process.Hostnames, route.Hostname)
	}
	return process, nil
}

// writeIndented writes JSON for people to read.
func writeIndented(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o600)
}
