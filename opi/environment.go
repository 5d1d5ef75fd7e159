package opi

import (
	"errors"
	"strings"
)

const (
	// MaxVariableBytes bounds "NAME=value": Linux refuses to execute a program
	// with a single string of 128 KiB or more, the final NUL included.
	MaxVariableBytes = 128<<10 - 1
	// MaxEnvironmentBytes bounds all values together: they are kept in one
	// Kubernetes Secret, which holds 1 MiB.
	MaxEnvironmentBytes = 1 << 20
)

// ValidateEnvironment checks names and sizes of environment variables. Errors
// name the variable and never quote its value.
func ValidateEnvironment(environment map[string]string) error {
	var errs []error
	var total int
	var largest string
	for name, value := range environment {
		total += len(value)
		if len(value) > len(environment[largest]) {
			largest = name
		}
		field := "environment." + abbreviate(name)
		switch {
		case name == "":
			errs = append(errs, Invalid("environment", "a variable has no name"))
		case !isVariableName(name):
			errs = append(errs, Invalid(field, "a variable name may have printable ASCII characters except '=' only"))
		case strings.ContainsRune(value, 0):
			errs = append(errs, Invalid(field, "the value contains a NUL byte, which no program can receive"))
		case len(name)+1+len(value) > MaxVariableBytes:
			errs = append(errs, Invalid(field, "name and value have %d bytes, more than the %d that Linux passes to a program in one variable", len(name)+1+len(value), MaxVariableBytes))
		}
	}
	if total > MaxEnvironmentBytes {
		errs = append(errs, Invalid("environment", "all values together have %d bytes, more than %d; the largest is %s with %d", total, MaxEnvironmentBytes, abbreviate(largest), len(environment[largest])))
	}
	return errors.Join(errs...)
}

func isVariableName(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' || name[i] == '=' {
			return false
		}
	}
	return true
}

// validateExecString checks a command argument, which has the same bound as a
// variable.
func validateExecString(field, value string) error {
	switch {
	case len(value) > MaxVariableBytes:
		return Invalid(field, "has %d bytes, more than the %d that Linux passes to a program in one argument", len(value), MaxVariableBytes)
	case strings.ContainsRune(value, 0):
		return Invalid(field, "contains a NUL byte, which no program can receive")
	}
	return nil
}
