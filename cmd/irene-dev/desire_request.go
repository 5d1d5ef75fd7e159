package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/irene-cf/irene/fixtures"
)

// Space and organization of all apps.
const (
	spaceName        = "demo"
	spaceGUID        = "b2cbd7a4-5f0f-4ea0-9d8b-6c1e2a3f4d05"
	organizationName = "irene"
	organizationGUID = "c3dce8b5-6010-4fb1-8e9c-7d2f3b405e16"
)

const (
	// appDomain is the domain of all routes: names below .localhost lead to this machine
	// for curl and browsers, without DNS.
	appDomain = "localhost"
	appPort   = "8080"
)

// desiredProcess is one process of an app, in what differs between those that irene-dev
// asks for.
type desiredProcess struct {
	appName, appGUID string
	// processType is web or another; guid is its own, which of the web process is the
	// app's.
	processType, guid, version string
	// route is a host name, or "" for none.
	route     string
	instances int
	command   string
	// dropletGUID and dropletHash, a SHA-1, name the droplet.
	dropletGUID, dropletHash string
	memoryMB, diskMB         int
	// healthCheck is port, process or http; healthEndpoint counts for the last alone.
	healthCheck, healthEndpoint string
	environment                 map[string]string
}

func (p desiredProcess) processGUID() string { return p.guid + "-" + p.version }

// request is the body of Cloud Controller's request for the process: one from golden
// use, with our names, guids, droplet and variables.
func (p desiredProcess) request() ([]byte, error) {
	golden, err := fixtures.Golden.ReadFile("golden/test-app-desire.json")
	if err != nil {
		return nil, err
	}
	var request map[string]any
	if err := json.Unmarshal(golden, &request); err != nil {
		return nil, fmt.Errorf("golden/test-app-desire.json: %w", err)
	}
	environment, ok := request["environment"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("golden/test-app-desire.json: environment: is no object")
	}
	if environment["VCAP_APPLICATION"], err = p.vcapApplication(environment["VCAP_APPLICATION"]); err != nil {
		return nil, err
	}
	environment["MEMORY_LIMIT"] = fmt.Sprintf("%dm", p.memoryMB)
	for name, value := range p.environment {
		environment[name] = value
	}
	var endpoint any
	if p.healthEndpoint != "" {
		endpoint = p.healthEndpoint
	}
	replace(request, map[string]any{
		"guid": p.guid, "version": p.version, "process_guid": p.processGUID(), "process_type": p.processType,
		"app_guid": p.appGUID, "app_name": p.appName,
		"space_guid": spaceGUID, "space_name": spaceName,
		"organization_guid": organizationGUID, "organization_name": organizationName,
		"instances": p.instances, "memory_mb": p.memoryMB, "disk_mb": p.diskMB,
		"health_check_type": p.healthCheck, "health_check_http_endpoint": endpoint,
		"routes": map[string]any{"cf-router": p.routes()},
		"lifecycle": map[string]any{"buildpack_lifecycle": map[string]any{
			"start_command": p.command, "droplet_guid": p.dropletGUID, "droplet_hash": p.dropletHash,
		}},
	})
	return json.Marshal(request)
}

func (p desiredProcess) routes() []any {
	if p.route == "" {
		return []any{}
	}
	return []any{map[string]any{"hostname": p.route, "port": json.Number(appPort)}}
}

// vcapApplication is the variable VCAP_APPLICATION, from the one of the golden request.
func (p desiredProcess) vcapApplication(golden any) (string, error) {
	text, _ := golden.(string)
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return "", fmt.Errorf("golden/test-app-desire.json: VCAP_APPLICATION: %w", err)
	}
	uris := []string{}
	if p.route != "" {
		uris = append(uris, p.route)
	}
	replace(members, map[string]any{
		"cf_api":           "https://api." + appDomain,
		"application_name": p.appName, "name": p.appName,
		"application_uris": uris, "uris": uris,
		"space_name": spaceName, "space_id": spaceGUID,
		"organization_name": organizationName, "organization_id": organizationGUID,
		"application_id": p.appGUID, "process_id": p.guid, "process_type": p.processType,
		"application_version": p.version, "version": p.version,
		"limits": map[string]any{"fds": 16384, "mem": p.memoryMB, "disk": p.diskMB},
	})
	changed, err := json.Marshal(members)
	return string(changed), err
}

func replace(members, by map[string]any) {
	for name, value := range by {
		members[name] = value
	}
}

// writeIndented writes JSON for people to read.
func writeIndented(path string, content []byte) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, content, "", "  "); err != nil {
		return err
	}
	indented.WriteByte('\n')
	return os.WriteFile(path, indented.Bytes(), 0o600)
}
