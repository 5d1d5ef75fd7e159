package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/irene-cf/irene/opi"
)

// wantedProcess is a process that Cloud Controller wants to run, as a line of its list
// for "irene diff" has it.
type wantedProcess struct {
	// ProcessGUID is "<guid>-<version>".
	ProcessGUID string `json:"process_guid"`
	// Annotation is updated_at as Cloud Controller compares it, such as
	// "1529064800.9"; it is compared byte for byte.
	Annotation *string `json:"annotation"`
	// UpdatedAt is the column itself, for lists without Annotation.
	UpdatedAt json.RawMessage `json:"updated_at"`
	// Instances is not known when nil.
	Instances *int `json:"instances"`

	// updatedAt is UpdatedAt in seconds since 1970, if there is no Annotation.
	updatedAt float64
}

// readWanted reads Cloud Controller's list: JSON objects one after the other, or an
// array of them.
func readWanted(list io.Reader) (map[string]wantedProcess, error) {
	wanted := map[string]wantedProcess{}
	decoder := json.NewDecoder(list)
	for n := 1; ; {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return wanted, nil
		}
		elements := []json.RawMessage{raw}
		if err == nil && bytes.HasPrefix(raw, []byte("[")) {
			elements = nil
			err = json.Unmarshal(raw, &elements)
		}
		if err != nil {
			return nil, fmt.Errorf("after process %d: %w", n-1, err)
		}
		for _, element := range elements {
			process, err := readProcess(element)
			if err == nil && wanted[process.ProcessGUID].ProcessGUID != "" {
				err = fmt.Errorf("process_guid: %s is listed twice", process.ProcessGUID)
			}
			if err != nil {
				return nil, fmt.Errorf("process %d: %w", n, err)
			}
			wanted[process.ProcessGUID] = process
			n++
		}
	}
}

func readProcess(element json.RawMessage) (wantedProcess, error) {
	var process wantedProcess
	if err := json.Unmarshal(element, &process); err != nil {
		return process, err
	}
	switch {
	case process.ProcessGUID == "":
		return process, errors.New("process_guid: is missing")
	case process.Instances != nil && *process.Instances < 0:
		return process, fmt.Errorf("instances: %d is negative", *process.Instances)
	case process.Annotation != nil:
		return process, nil
	}
	var err error
	if process.updatedAt, err = readUpdatedAt(process.UpdatedAt); err != nil {
		return process, fmt.Errorf("updated_at: %w", err)
	}
	return process, nil
}

// updatedAtForms are how databases print the column; it is in UTC.
var updatedAtForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999 UTC"}

// readUpdatedAt takes seconds since 1970, as number or text, and times.
func readUpdatedAt(value json.RawMessage) (float64, error) {
	text := string(value)
	if text == "" || text == "null" {
		return 0, errors.New("is missing, and annotation too")
	}
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(value, &text); err != nil {
			return 0, err
		}
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return seconds, nil
	}
	for _, form := range updatedAtForms {
		if at, err := time.Parse(form, text); err == nil {
			return strconv.ParseFloat(fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond()), 64)
		}
	}
	return 0, fmt.Errorf("%s is neither a time such as 2018-06-15T12:13:20.9Z nor seconds since 1970", value)
}

// annotationText is the annotation that Cloud Controller would compare with, as far as
// it is known.
func (w wantedProcess) annotationText() string {
	if w.Annotation != nil {
		return *w.Annotation
	}
	text := strconv.FormatFloat(w.updatedAt, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// halfMicrosecond is less than what can be between two times of a database, and more
// than the rounding on the way to an annotation.
const halfMicrosecond = 0.5e-6

// sameAnnotation is whether Cloud Controller's sync would leave the process alone. A
// list in whole seconds is compared in whole seconds.
func (w wantedProcess) sameAnnotation(annotation string) bool {
	if w.Annotation != nil {
		return *w.Annotation == annotation
	}
	seconds, err := strconv.ParseFloat(annotation, 64)
	if err != nil {
		return false
	}
	if w.updatedAt == math.Trunc(w.updatedAt) {
		return math.Trunc(seconds) == w.updatedAt
	}
	return math.Abs(seconds-w.updatedAt) < halfMicrosecond
}

// held has what a door lists of an LRP, and the names of its app and space.
type held struct {
	opi.DesiredLRP
	app, space string
}
