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
	Cluster process `json:"cluster"`
	Irene   process `json:"irene"`
	Edge    process `json:"edge"`
	// API and Observe are Irene's addresses, host:port.
	API     string `json:"api,omitempty"`
	Observe string `json:"observe,omitempty"`
	// NATS, Router and Status (the router's page) are those of the edge.
	NATS   string `json:"nats,omitempty"`
	Router string `json:"router,omitempty"`
	Status string `json:"status,omitempty"`
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
	if err := os.WriteFile(file+newStateSuffix, content, 0o600); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	if err := os.Rename(file+newStateSuffix, file); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	return nil
}
