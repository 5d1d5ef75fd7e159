package bbs

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"code.cloudfoundry.org/bbs/models"
	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of what a request's message may contain. A parsed message takes far more memory than
// its bytes: two bytes make an empty environment variable of 40 bytes, and nested actions are
// parsed by recursion, whose stack Go limits by ending the process. Requests of Cloud
// Controller have some thousand parts and about ten levels.
const (
	maxParts  = 300_000
	maxLevels = 100
)

var errOutOfBounds = errors.New("the message has too many parts or levels")

// bounds checks messages before they are parsed. It is safe for concurrent use.
type bounds struct {
	// known holds the results of partsOf by type.
	known sync.Map // of reflect.Type to map[protowire.Number]reflect.Type
}

// check returns an error if body is not a message of the type, or exceeds the bounds. It
// allocates nothing that depends on body.
func (b *bounds) check(body []byte, message reflect.Type) error {
	parts := 0
	return b.countParts(body, b.partsOf(message), &parts, 1)
}

func (b *bounds) countParts(body []byte, fields map[protowire.Number]reflect.Type, parts *int, level int) error {
	if level > maxLevels {
		return errOutOfBounds
	}
	for len(body) > 0 {
		number, kind, length := protowire.ConsumeTag(body)
		if length < 0 {
			return protowire.ParseError(length)
		}
		body = body[length:]
		length = protowire.ConsumeFieldValue(number, kind, body)
		if length < 0 {
			return protowire.ParseError(length)
		}
		if *parts++; *parts > maxParts {
			return errOutOfBounds
		}
		if part, known := fields[number]; known && kind == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(body)
			if err := b.countParts(content, b.partsOf(part), parts, level+1); err != nil {
				return err
			}
		}
		body = body[length:]
	}
	return nil
}

// partsOf returns the fields of a generated type that are messages, by their number.
func (b *bounds) partsOf(message reflect.Type) map[protowire.Number]reflect.Type {
	if known, ok := b.known.Load(message); ok {
		return known.(map[protowire.Number]reflect.Type)
	}
	fields := map[protowire.Number]reflect.Type{}
	for i := range message.NumField() {
		field := message.Field(i)
		number, ok := numberOf(field)
		if !ok {
			continue
		}
		if part := messageIn(field.Type); part != nil {
			fields[number] = part
		}
	}
	b.known.Store(message, fields)
	return fields
}

// numberOf reads the second word of the tag that the generator writes:
// "bytes,7,opt,name=action,proto3".
func numberOf(field reflect.StructField) (protowire.Number, bool) {
	words := strings.SplitN(field.Tag.Get("protobuf"), ",", 3)
	if len(words) < 2 {
		return 0, false
	}
	number, err := strconv.ParseInt(words[1], 10, 32)
	return protowire.Number(number), err == nil
}

// mapEntry is how an entry of a map with messages for values travels.
type mapEntry struct {
	Value *models.MetricTagValue `protobuf:"bytes,2"`
}

// messageIn returns the message type that a field holds one or several of; nil if it holds
// none. Entries of maps count as one part of the message that has the map; of those that
// requests have, the values are texts, bytes or small.
func messageIn(field reflect.Type) reflect.Type {
	switch {
	case field == reflect.TypeFor[models.Routes]() || field == reflect.TypeFor[*models.Routes]():
		return reflect.TypeFor[models.ProtoRoutes]()
	case field == reflect.TypeFor[map[string]*models.MetricTagValue]():
		return reflect.TypeFor[mapEntry]()
	}
	for field.Kind() == reflect.Pointer || field.Kind() == reflect.Slice {
		field = field.Elem()
	}
	if field.Kind() != reflect.Struct {
		return nil
	}
	return field
}
