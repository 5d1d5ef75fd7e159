package bbs

import "google.golang.org/protobuf/encoding/protowire"

// The functions below append fields of messages that are encoded without the generated types,
// because lists of them are long. As in proto3, a zero value is not written.

func appendTag(to []byte, field protowire.Number, kind protowire.Type) []byte {
	return appendVarint(to, protowire.EncodeTag(field, kind))
}

// appendVarint is protowire's with a short way for a single byte.
func appendVarint(to []byte, number uint64) []byte {
	if number < 0x80 {
		return append(to, byte(number))
	}
	return protowire.AppendVarint(to, number)
}

// appendText appends a text that is given in pieces.
func appendText(to []byte, field protowire.Number, pieces ...string) []byte {
	size := 0
	for _, piece := range pieces {
		size += len(piece)
	}
	if size == 0 {
		return to
	}
	to = appendVarint(appendTag(to, field, protowire.BytesType), uint64(size))
	for _, piece := range pieces {
		to = append(to, piece...)
	}
	return to
}

func appendNumber(to []byte, field protowire.Number, number int64) []byte {
	if number == 0 {
		return to
	}
	return appendVarint(appendTag(to, field, protowire.VarintType), uint64(number))
}

// appendPart appends a message, also an empty one. fill appends its fields.
func appendPart(to []byte, field protowire.Number, fill func([]byte) []byte) []byte {
	to = append(appendTag(to, field, protowire.BytesType), 0, 0)
	begin := len(to)
	to = fill(to)
	size := len(to) - begin
	// The content moves if its length does not take the two bytes that were left for it.
	if lengthSize := protowire.SizeVarint(uint64(size)); lengthSize != 2 {
		to = append(to, make([]byte, max(0, lengthSize-2))...)
		copy(to[begin-2+lengthSize:], to[begin:begin+size])
		to = to[:begin-2+lengthSize+size]
	}
	protowire.AppendVarint(to[:begin-2], uint64(size))
	return to
}
