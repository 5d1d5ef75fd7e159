package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/irene-cf/irene/opi/vcapapplication"
)

// instanceMembers returns what an instance knows about itself and an app expects
// to find in VCAP_APPLICATION. A value that the environment lacks (a worker has
// no PORT, a task no index) is left out; one that is there but makes no sense is
// left out and reported.
func instanceMembers(env environment) ([]vcapapplication.Member, []error) {
	var problems []error
	var guid, index, port string
	if id := env.firstOf("CF_INSTANCE_GUID", "INSTANCE_GUID"); id != "" {
		// A string always marshals.
		text, _ := json.Marshal(id)
		guid = string(text)
	}
	if text := env.firstOf("CF_INSTANCE_INDEX", "INSTANCE_INDEX"); text != "" {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			index = strconv.FormatUint(n, 10)
		} else {
			problems = append(problems, fmt.Errorf("VCAP_APPLICATION gets no instance_index: the index %q of the instance is not a whole number", text))
		}
	}
	if text := env.get("PORT"); text != "" {
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			port = strconv.FormatUint(n, 10)
		} else {
			problems = append(problems, fmt.Errorf("VCAP_APPLICATION gets no port: PORT %q is not a port number", text))
		}
	}
	return vcapapplication.InstanceMembers(guid, index, port), problems
}
