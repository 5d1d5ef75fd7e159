package bbs

import "google.golang.org/protobuf/encoding/protowire"

// The functions below append fields of messages that are encoded without the generated types,
// because lists of them are long. As in proto3, a zero value is not written.

func appendText(to []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return to
	}
	return protowire.AppendString(protowire.AppendTag(to, field, protowire.BytesType), text)
}

func appendNumber(to []byte, field protowire.Number, number int64) []byte {
	if number == 0 {
		return to
	}
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), uint64(number))
}

// appendPart appends a message, also an empty one. fill appends its fields.
func appendPart(to []byte, field protowire.Number, fill func([]byte) []byte) []byte {
	to = append(protowire.AppendTag(to, field, protowire.BytesType), 0)
	begin := len(to)
	to = fill(to)
	size := len(to) - begin
	// The content moves if its length takes more than the byte that was left for it.
	lengthSize := protowire.SizeVarint(uint64(size))
	if lengthSize > 1 {
		to = append(to, make([]byte, lengthSize-1)...)
		copy(to[begin+lengthSize-1:], to[begin:begin+size])
	}
	protowire.AppendVarint(to[:begin-1], uint64(size))
	return to
}
