package main

import (
	"encoding/json"
	"strconv"
	"time"
)

// Duration is a time span written as Go writes it: "30s", "1m30s", "500ms".
//
// Reading one never fails: what can't be read is kept and reported by Validate,
// so that one mistake doesn't hide the others.
type Duration struct {
	time.Duration
	// unread is the text in the file when it isn't a duration.
	unread string
}

// UnmarshalJSON takes a string; see Duration for what happens to others.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		*d = Duration{unread: string(data)}
		return nil
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		*d = Duration{unread: strconv.Quote(text)}
		return nil
	}
	*d = Duration{Duration: span}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// Switch is "on" or "off". YAML takes the two bare words for true and false, so
// all four are understood.
type Switch string

const (
	// On switches something on.
	On Switch = "on"
	// Off switches something off.
	Off Switch = "off"
)

// UnmarshalJSON takes true, false and strings; Validate tells "on" and "off" from
// other strings.
func (s *Switch) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true":
		*s = On
	case "false":
		*s = Off
	default:
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			text = string(data)
		}
		*s = Switch(text)
	}
	return nil
}
