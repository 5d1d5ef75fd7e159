package opi_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func TestValidateTask(t *testing.T) {
	valid := func() opi.Task {
		return opi.Task{
			GUID: "task", Name: "migrate", RootFS: opi.RootFS{Image: &opi.Image{Reference: "org/image"}},
			Limits: opi.Limits{MemoryMiB: 64}, CompletionCallback: "https://cc.internal:9023/internal/v4/tasks/task/completed",
		}
	}
	NewWithT(t).Expect(valid().Validate()).To(Succeed())
	for field, change := range map[string]func(*opi.Task){
		"guid":               func(x *opi.Task) { x.GUID = "" },
		"name":               func(x *opi.Task) { x.Name = "\x00" },
		"limits.memory":      func(x *opi.Task) { x.Limits.MemoryMiB = 0 },
		"completionCallback": func(x *opi.Task) { x.CompletionCallback = "cc.internal" },
		"process.command[0]": func(x *opi.Task) { x.Process.Command = []string{"\x00"} },
		"process.command": func(x *opi.Task) {
			x.RootFS, x.Droplet = opi.RootFS{}, &opi.Droplet{GUID: "d", Checksum: opi.Checksum{Value: "a"}}
		},
		"domain":                  func(x *opi.Task) { x.Domain = "a b" },
		"volumes[0].directory":    func(x *opi.Task) { x.Volumes = []opi.Volume{{Driver: "d", ID: "v"}} },
		"egressRules[0].protocol": func(x *opi.Task) { x.EgressRules = []opi.EgressRule{{Destinations: []string{"::1"}}} },
		"placementTags[0]":        func(x *opi.Task) { x.PlacementTags = []string{""} },
		"metricTags.a":            func(x *opi.Task) { x.MetricTags = map[string]opi.MetricTag{"a": {Dynamic: "x"}} },
		"files[0].path":           func(x *opi.Task) { x.Files = []opi.File{{Path: "/etc/passwd"}} },
		"trustedCertificatesPath": func(x *opi.Task) { x.TrustedCertificatesPath = "certs" },
	} {
		t.Run(field, func(t *testing.T) {
			g := NewWithT(t)
			task := valid()
			change(&task)
			fields := opi.FieldErrors(task.Validate())
			g.Expect(fields).To(HaveLen(1), "%v", task.Validate())
			g.Expect(fields[0].Field).To(Equal(field))
		})
	}
}

func TestValidateBuild(t *testing.T) {
	valid := func() opi.Build {
		return opi.Build{
			GUID: "build", Limits: opi.Limits{MemoryMiB: 1024}, CompletionCallback: "https://user:password@cc.internal:9023/x",
			Source: &opi.Source{
				AppBitsURL: "https://blobstore/app", DropletUploadURL: "https://uploader/droplet",
				Buildpacks: []opi.Buildpack{{Name: "go", Key: "go-key", URL: "https://blobstore/go.zip"}},
			},
		}
	}
	NewWithT(t).Expect(valid().Validate()).To(Succeed())
	for field, change := range map[string]func(*opi.Build){
		"source":                           func(x *opi.Build) { x.Source = nil },
		"source.appBitsURL":                func(x *opi.Build) { x.Source.AppBitsURL = "file:///etc/passwd" },
		"source.dropletUploadURL":          func(x *opi.Build) { x.Source.DropletUploadURL = "" },
		"source.cacheUploadURL":            func(x *opi.Build) { x.Source.CacheUploadURL = "x" },
		"source.buildpacks":                func(x *opi.Build) { x.Source.Buildpacks = nil },
		"source.buildpacks[0].url":         func(x *opi.Build) { x.Source.Buildpacks[0].URL = "" },
		"source.appBitsChecksum.algorithm": func(x *opi.Build) { x.Source.AppBitsChecksum.Value = "a" },
		"timeout":                          func(x *opi.Build) { x.Timeout = -1 },
		"domain":                           func(x *opi.Build) { x.Domain = "a b" },
		"egressRules[0].protocol":          func(x *opi.Build) { x.EgressRules = []opi.EgressRule{{Destinations: []string{"::1"}}} },
		"files[0].path":                    func(x *opi.Build) { x.Files = []opi.File{{Path: "../x"}} },
		"image.reference":                  func(x *opi.Build) { x.Source, x.Image = nil, &opi.Image{Reference: "http://x/y"} },
	} {
		t.Run(field, func(t *testing.T) {
			g := NewWithT(t)
			build := valid()
			change(&build)
			fields := opi.FieldErrors(build.Validate())
			g.Expect(fields).To(HaveLen(1), "%v", build.Validate())
			g.Expect(fields[0].Field).To(Equal(field))
			g.Expect(fields[0].Reason).NotTo(ContainSubstring("password"))
		})
	}
}
