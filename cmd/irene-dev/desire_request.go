package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/irene-cf/irene/fixtures"
)

// The sample app, its space and its organization.
const (
	sampleAppName = "sample-app"
	sampleGUID    = "a51f1c2e-2b0a-4a3e-8d55-0f6a4f0c7b21"
	// sampleRoute is a host name that leads to this machine for curl and browsers,
	// without DNS: all of localhost's subdomains do.
	sampleRoute    = "sample-app.localhost"
	sampleCommand  = "./" + sampleProgram
	samplePort     = "8080"
	sampleSecret   = "DATABASE_PASSWORD"
	sampleMemoryMB = 128
	sampleDiskMB   = 256

	spaceName        = "demo"
	spaceGUID        = "b2cbd7a4-5f0f-4ea0-9d8b-6c1e2a3f4d05"
	organizationName = "irene"
	organizationGUID = "c3dce8b5-6010-4fb1-8e9c-7d2f3b405e16"
)

// sampleVersion changes when the app's image does, as Cloud Controller's version
// does: what an LRP is made from never changes under one version.
func sampleVersion(image sampleImage) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("irene-dev:"+image.reference())).String()
}

// desireRequest is Cloud Controller's request for the sample app: one from golden
// use, with our names, guids, droplet, and a secret variable.
func desireRequest(image sampleImage, app sampleApp) ([]byte, error) {
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
	if environment["VCAP_APPLICATION"], err = vcapApplication(environment["VCAP_APPLICATION"], app); err != nil {
		return nil, err
	}
	environment["MEMORY_LIMIT"] = fmt.Sprintf("%dm", sampleMemoryMB)
	environment[sampleSecret] = "correct horse battery staple"

	replace(request, map[string]any{
		"guid": app.guid, "version": app.version, "process_guid": app.processGUID(),
		"app_guid": app.guid, "app_name": sampleAppName,
		"space_guid": spaceGUID, "space_name": spaceName,
		"organization_guid": organizationGUID, "organization_name": organizationName,
		"memory_mb": sampleMemoryMB, "disk_mb": sampleDiskMB,
		"health_check_type": "http", "health_check_http_endpoint": "/health",
		"routes": map[string]any{"cf-router": []any{map[string]any{"hostname": sampleRoute, "port": json.Number(samplePort)}}},
		"lifecycle": map[string]any{"buildpack_lifecycle": map[string]any{
			"start_command": sampleCommand, "droplet_guid": image.dropletGUID, "droplet_hash": image.dropletHash,
		}},
	})
	return json.Marshal(request)
}

// vcapApplication is the variable VCAP_APPLICATION, from the one of the golden
// request.
func vcapApplication(golden any, app sampleApp) (string, error) {
	text, _ := golden.(string)
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return "", fmt.Errorf("golden/test-app-desire.json: VCAP_APPLICATION: %w", err)
	}
	uris := []string{sampleRoute}
	replace(members, map[string]any{
		"cf_api":           "https://api" + strings.TrimPrefix(sampleRoute, sampleAppName),
		"application_name": sampleAppName, "name": sampleAppName,
		"application_uris": uris, "uris": uris,
		"space_name": spaceName, "space_id": spaceGUID,
		"organization_name": organizationName, "organization_id": organizationGUID,
		"application_id": app.guid, "process_id": app.guid,
		"application_version": app.version, "version": app.version,
		"limits": map[string]any{"fds": 16384, "mem": sampleMemoryMB, "disk": sampleDiskMB},
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
