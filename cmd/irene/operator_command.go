package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
)

// errUsage is a command line that isn't understood.
var errUsage = errors.New("usage")

// statusOnly ends a command that has said all there is to say.
type statusOnly int

// Error implements error.
func (s statusOnly) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// operatorCommand is a command for people: it reads its arguments, works, and prints.
type operatorCommand func(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error

// status runs the command under its full name, without "irene", and returns the exit
// status.
func (run operatorCommand) status(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("irene "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	err := run(ctx, flags, args, stdout)
	status, said := errors.AsType[statusOnly](err)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case said:
		return int(status)
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "irene %s: %v\n", name, err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "irene: %v\n", err)
	return exitFailed
}

// parseFlags reads the command line, with the path of the configuration. From least to
// most arguments are wanted beside the flags.
func parseFlags(flags *flag.FlagSet, args []string, least, most int) (path string, err error) {
	config := flags.String("config", "", "the configuration `FILE`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return "", err
		}
		return "", fmt.Errorf("%w: %w", errUsage, err)
	}
	wanted := fmt.Sprint(least)
	if most > least {
		wanted = fmt.Sprintf("%d to %d", least, most)
	}
	switch {
	case *config == "":
		return "", fmt.Errorf("%w: --config FILE is required", errUsage)
	case flags.NArg() < least || flags.NArg() > most:
		return "", fmt.Errorf("%w: %s arguments besides the flags are wanted, not %d; flags come first", errUsage, wanted, flags.NArg())
	}
	return *config, nil
}

// outputForm is how a command prints what it found.
type outputForm string

const (
	asTable outputForm = "table"
	asJSON  outputForm = "json"
)

// outputFlag is -o. check has to be called once the flags are parsed.
func outputFlag(flags *flag.FlagSet) *outputForm {
	form := asTable
	flags.StringVar((*string)(&form), "o", string(asTable), "`FORM` of the output, table or json")
	return &form
}

// configured reads the command line of a command with -o, and the configuration that it
// names.
func configured(flags *flag.FlagSet, args []string, least, most int) (Configuration, outputForm, error) {
	output := outputFlag(flags)
	path, err := parseFlags(flags, args, least, most)
	if err == nil {
		err = output.check()
	}
	if err != nil {
		return Configuration{}, "", err
	}
	config, err := Load(path)
	return config, *output, err
}

func (f outputForm) check() error {
	if f != asTable && f != asJSON {
		return fmt.Errorf("%w: -o %q is neither table nor json", errUsage, string(f))
	}
	return nil
}

// print writes value as JSON, or what table makes of it; columns are divided by tabs.
func (f outputForm) print(stdout io.Writer, value any, table func(io.Writer)) error {
	if f == asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	columns := tabwriter.NewWriter(stdout, 0, 0, 3, ' ', 0)
	table(columns)
	return columns.Flush()
}
