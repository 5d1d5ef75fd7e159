package opi

import "errors"

// ErrNotFound is returned where the LRP, task or build named does not exist.
var ErrNotFound = errors.New("not found")

// ErrExists is returned where a task or build with the same guid exists that another request
// made.
var ErrExists = errors.New("exists already")

// ErrUnavailable is returned where the platform can't answer or act at present
// and the same call may succeed later.
var ErrUnavailable = errors.New("unavailable at present")

// ErrRefused is returned where a request is well formed and still can't be
// honoured, now or later, for a reason that its sender can mend.
var ErrRefused = errors.New("refused")
