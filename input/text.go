package input

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

// CheckText returns an error for a JSON document that is not UTF-8, or that has half of a surrogate pair in a text (an escape such as
// \ud800 alone), which stands for no character: parsers differ in what they make of it (RFC 8259, section 8.2), so that two names
// become one, or a name another. What is no JSON has errors of its own, elsewhere.
func CheckText(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the text is not valid UTF-8")
	}
	for {
		at := bytes.IndexByte(data, '\\')
		if at < 0 || len(data) < at+2 {
			return nil
		}
		data = data[at:]
		if data[1] != 'u' || len(data) < escapeLength { // \\ and the like
			data = data[2:]
			continue
		}
		length := escapeLength
		switch unit := unitOf(data[2:escapeLength]); {
		case unit >= 0xd800 && unit < 0xdc00 && len(data) >= 2*escapeLength && data[escapeLength] == '\\' && data[escapeLength+1] == 'u':
			if low := unitOf(data[escapeLength+2 : 2*escapeLength]); low < 0xdc00 || low > 0xdfff {
				return errHalf
			}
			length = 2 * escapeLength
		case unit >= 0xd800 && unit <= 0xdfff:
			return errHalf
		}
		data = data[length:]
	}
}

// unitOf returns the unit of UTF-16 that four hexadecimal digits stand for.
func unitOf(digits []byte) uint64 {
	unit, _ := strconv.ParseUint(string(digits), 16, 16) // 0 for what is no escape
	return unit
}

// escapeLength is the length of an escape such as \u00e9.
const escapeLength = 6

var errHalf = errors.New("a text has half of a surrogate pair, which is no character")
