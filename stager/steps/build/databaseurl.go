package build

import (
	"encoding/json"
	"net/url"
	"strings"
)

// databaseSchemes are the databases that frameworks know, with what they call them.
var databaseSchemes = map[string]string{"mysql": "mysql2", "mysql2": "mysql2", "postgres": "postgres", "postgresql": "postgres"}

// databaseURL returns the URI of the first bound service that is a database, empty
// when there is none. Frameworks read DATABASE_URL, also while they are staged
// (Rails precompiles assets); at run time it is Cloud Controller who sets it.
// Services are taken in the order of their instances' lists; the order of the lists
// is that of the text.
func databaseURL(services string) string {
	decoder := json.NewDecoder(strings.NewReader(services))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return ""
	}
	for decoder.More() {
		if _, err := decoder.Token(); err != nil {
			return ""
		}
		var instances []struct {
			Credentials struct {
				URI any `json:"uri"`
			} `json:"credentials"`
		}
		var list json.RawMessage
		if decoder.Decode(&list) != nil {
			return ""
		}
		if json.Unmarshal(list, &instances) != nil {
			// Credentials are the service's to choose, and need not be an object.
			continue
		}
		for _, instance := range instances {
			text, _ := instance.Credentials.URI.(string)
			u, err := url.Parse(text)
			if err != nil {
				continue
			}
			if scheme, ok := databaseSchemes[u.Scheme]; ok {
				u.Scheme = scheme
				return u.String()
			}
		}
	}
	return ""
}
