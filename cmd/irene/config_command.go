package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"
)

// showConfiguration prints what the service makes of its configuration file, defaults
// included, in a form that it reads again. Secrets are in files that the configuration
// names; what a URL may carry beyond them is hidden.
func showConfiguration(_ context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	form := flags.String("o", "yaml", "`FORM` of the output, yaml or json")
	path, err := parseFlags(flags, args, 0, 0)
	if err != nil {
		return err
	}
	if *form != "yaml" && *form != string(asJSON) {
		return fmt.Errorf("%w: -o %q is neither yaml nor json", errUsage, *form)
	}
	config, err := Load(path)
	if err != nil {
		return err
	}
	config.Droplets.Source.URL = withoutSecrets(config.Droplets.Source.URL)
	config.Droplets.Source.CloudController = withoutSecrets(config.Droplets.Source.CloudController)
	if *form == string(asJSON) {
		return asJSON.print(stdout, config, nil)
	}
	return writeYAML(stdout, "", reflect.ValueOf(config))
}

// withoutSecrets hides the values in a URL's query. (A URL with a user is refused.)
func withoutSecrets(address string) string {
	base, query, found := strings.Cut(address, "?")
	if !found {
		return address
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return base + "?hidden"
	}
	for name := range values {
		values.Set(name, "hidden")
	}
	return base + "?" + values.Encode()
}

// writeYAML writes a struct's fields in their order. Values are written as JSON, which
// YAML understands.
func writeYAML(out io.Writer, indent string, value reflect.Value) error {
	for i := range value.NumField() {
		field := value.Field(i)
		key := value.Type().Field(i).Tag.Get("json")
		if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[Duration]() {
			fmt.Fprintf(out, "%s%s:\n", indent, key)
			if err := writeYAML(out, indent+"  ", field); err != nil {
				return err
			}
			continue
		}
		content, err := json.Marshal(field.Interface())
		if err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		if string(content) == "null" {
			content = []byte("[]")
		}
		fmt.Fprintf(out, "%s%s: %s\n", indent, key, content)
	}
	return nil
}
