package credential

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Read returns the first value of a file.
func Read(file string) (string, error) {
	values, err := ReadAll(file)
	if err != nil {
		return "", err
	}
	return values[0], nil
}

// ReadAll returns all values of a file, at least one.
func ReadAll(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err // names the file
	}
	var values []string
	for line := range bytes.Lines(content) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			values = append(values, string(line))
		}
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%s holds no value", file)
	}
	return values, nil
}

// ReadPair returns the first values of a file with a user name and of one with a
// password.
func ReadPair(usernameFile, passwordFile string) (username, password string, err error) {
	var errs []error
	if username, err = Read(usernameFile); err != nil {
		errs = append(errs, fmt.Errorf("user name: %w", err))
	}
	if password, err = Read(passwordFile); err != nil {
		errs = append(errs, fmt.Errorf("password: %w", err))
	}
	if len(errs) > 0 {
		return "", "", errors.Join(errs...)
	}
	return username, password, nil
}
