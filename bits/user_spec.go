package bits

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxID is the largest user or group number that Kubernetes accepts.
const maxID = 1<<31 - 1

// resolveUser turns the USER of an image's config, "user" or "user:group" with
// names or numbers, into numbers. files reads the image's account files, and is
// only called when there is a name. What can't be resolved is an *unknownUser;
// other errors are those of files.
func resolveUser(spec string, files func(wanted ...string) (accountFiles, error)) (User, error) {
	wrong := func(format string, args ...any) error {
		return &unknownUser{user: spec, reason: fmt.Sprintf(format, args...)}
	}
	userName, groupName, _ := strings.Cut(spec, ":")
	uid, err := number(userName)
	if err != nil {
		return User{}, wrong("%v", err)
	}
	gid, err := number(groupName)
	if err != nil {
		return User{}, wrong("%v", err)
	}
	if userName == "" {
		uid = new(int64)
	}

	var wanted []string
	if uid == nil {
		wanted = append(wanted, passwdPath)
	}
	if gid == nil && groupName != "" {
		wanted = append(wanted, groupPath)
	}
	var found accountFiles
	if len(wanted) > 0 {
		found, err = files(wanted...)
		if errors.Is(err, errTooLargeToUnpack) {
			return User{}, wrong("is a name, and more than %d MiB have to be unpacked to look it up; give USER as a number", maxImageBytes>>20)
		}
		if err != nil {
			return User{}, err
		}
	}
	var ownGroup *int64
	if uid == nil {
		if uid, ownGroup, err = findAccount(found[passwdPath], userName); err != nil {
			return User{}, wrong("%v", err)
		}
	}
	switch {
	case gid != nil:
	case groupName == "":
		gid = ownGroup
	default:
		if gid, err = findGroup(found[groupPath], groupName); err != nil {
			return User{}, wrong("%v", err)
		}
	}
	return User{Name: spec, UID: uid, GID: gid}, nil
}

// number reads a user or group number. It is nil for other text; digits that make
// no usable number are an error, as they can't be meant as a name.
func number(text string) (*int64, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return nil, nil
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id > maxID {
		return nil, fmt.Errorf("has a number above %d, the largest that Kubernetes accepts", maxID)
	}
	return &id, nil
}
