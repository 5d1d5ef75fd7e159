package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/CycloneDX/cyclonedx-go"
)

// billOfMaterials lists the modules that the programs at paths are made of, as the
// linker has recorded them, in CycloneDX's JSON. It has neither a time nor a serial
// number, so that the same programs have the same list.
func billOfMaterials(r release, paths map[string]string) ([]byte, error) {
	root := component(cyclonedx.ComponentTypeContainer, "irene", r.version)
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &root}
	libraries := map[string]cyclonedx.Component{}
	var components []cyclonedx.Component
	dependencies := []cyclonedx.Dependency{{Ref: root.BOMRef}}
	var contained []string
	for _, program := range slices.Sorted(maps.Keys(paths)) {
		info, err := buildinfo.ReadFile(paths[program])
		if err != nil {
			return nil, fmt.Errorf("read what %s is made of: %w", program, err)
		}
		own := component(cyclonedx.ComponentTypeApplication, program, r.version)
		components, contained = append(components, own), append(contained, own.BOMRef)
		var uses []string
		for _, module := range append(info.Deps, &debug.Module{Path: "std", Version: info.GoVersion}) {
			library := libraryOf(module)
			libraries[library.BOMRef] = library
			uses = append(uses, library.BOMRef)
		}
		slices.Sort(uses)
		dependencies = append(dependencies, cyclonedx.Dependency{Ref: own.BOMRef, Dependencies: &uses})
	}
	dependencies[0].Dependencies = &contained
	for _, ref := range slices.Sorted(maps.Keys(libraries)) {
		components = append(components, libraries[ref])
	}
	bom.Components, bom.Dependencies = &components, &dependencies
	var encoded bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&encoded, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return nil, fmt.Errorf("encode the list of modules: %w", err)
	}
	return encoded.Bytes(), nil
}

func component(kind cyclonedx.ComponentType, name, version string) cyclonedx.Component {
	return cyclonedx.Component{Type: kind, BOMRef: string(kind) + ":" + name, Name: name, Version: version}
}

// libraryOf is a module as it was compiled, after replacements.
func libraryOf(module *debug.Module) cyclonedx.Component {
	if module.Replace != nil {
		module = module.Replace
	}
	url := "pkg:golang/" + module.Path + "@" + module.Version
	return cyclonedx.Component{
		Type: cyclonedx.ComponentTypeLibrary, BOMRef: url, Name: module.Path, Version: module.Version, PackageURL: url,
	}
}
