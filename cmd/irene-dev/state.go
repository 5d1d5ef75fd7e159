package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// state is what has to be known of an earlier run.
type state struct {
	Cluster  process `json:"cluster"`
	Irene    process `json:"irene"`
	Edge     process `json:"edge"`
	Registry process `json:"registry"`
	// CloudController is its stand-in.
	CloudController process `json:"cloudController"`
	// API (the OPI door), BBS (the other one) and Observe are Irene's addresses, host:port.
	API     string `json:"api,omitempty"`
	BBS     string `json:"bbs,omitempty"`
	Observe string `json:"observe,omitempty"`
	// NATS, Router and Status (the router's page) are those of the edge.
	NATS   string `json:"nats,omitempty"`
	Router string `json:"router,omitempty"`
	Status string `json:"status,omitempty"`
	// RegistryAddress and RegistryObserve are the registry's addresses.
	RegistryAddress string `json:"registryAddress,omitempty"`
	RegistryObserve string `json:"registryObserve,omitempty"`
	// CloudControllerAddress is that of the stand-in for Irene and builds,
	// ControlAddress that for irene-dev.
	CloudControllerAddress string `json:"cloudControllerAddress,omitempty"`
	ControlAddress         string `json:"controlAddress,omitempty"`
	// SampleDroplet is the guid of the sample app's droplet.
	SampleDroplet string `json:"sampleDroplet,omitempty"`
	// Stack is what was imported last.
	Stack importedStack `json:"stack"`
}

// loadState reads the folder's state; none is an empty one.
func (f *folder) loadState() (state, error) {
	var s state
	content, err := os.ReadFile(f.at(stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the state: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("read the state from %s: %w", f.at(stateName), err)
	}
	return s, nil
}

// saveState replaces the state as a whole.
func (f *folder) saveState(s state) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	file := f.at(stateName)
	if err := os.WriteFile(file+newSuffix, content, 0o600); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	if err := os.Rename(file+newSuffix, file); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	return nil
}
