package bits

import (
	"bytes"
	"errors"
	"fmt"
)

// maxFields is more than the fields that are used.
const maxFields = 8

// findAccount looks a user up by name in /etc/passwd. As for every reader of that
// file, the first entry of a name counts; lines that are no entries are passed
// over. An entry whose numbers can't be read is an error and never 0, which would
// be root. Errors complete the sentence "USER x …".
func findAccount(passwd accountFile, name string) (uid, gid *int64, err error) {
	if passwd.unusable != "" {
		return nil, nil, fmt.Errorf("can't be looked up: the image's /etc/passwd %s", passwd.unusable)
	}
	fields := findEntry(passwd.content, name)
	if fields == nil {
		return nil, nil, errors.New("is not in the image's /etc/passwd")
	}
	uid, uidErr := idField(fields, 2, "user")
	gid, gidErr := idField(fields, 3, "group")
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, nil, fmt.Errorf("has an unusable entry in the image's /etc/passwd: %w", err)
	}
	return uid, gid, nil
}

// findGroup looks a group up by name in /etc/group, by the rules of findAccount.
func findGroup(groups accountFile, name string) (*int64, error) {
	if groups.unusable != "" {
		return nil, fmt.Errorf("names a group that can't be looked up: the image's /etc/group %s", groups.unusable)
	}
	fields := findEntry(groups.content, name)
	if fields == nil {
		return nil, errors.New("names a group that is not in the image's /etc/group")
	}
	gid, err := idField(fields, 2, "group")
	if err != nil {
		return nil, fmt.Errorf("names a group with an unusable entry in the image's /etc/group: %w", err)
	}
	return gid, nil
}

// findEntry is the fields of the first line that begins with name, or nil.
func findEntry(file []byte, name string) [][]byte {
	for line := range bytes.Lines(file) {
		fields := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), maxFields)
		if len(fields) > 1 && string(fields[0]) == name {
			return fields
		}
	}
	return nil
}

func idField(fields [][]byte, index int, what string) (*int64, error) {
	if len(fields) <= index {
		return nil, fmt.Errorf("it has no %s number", what)
	}
	id, err := number(string(fields[index]))
	if err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	if id == nil {
		return nil, fmt.Errorf("%q is no %s number", fields[index], what)
	}
	return id, nil
}
