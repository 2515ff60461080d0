package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind returns the first character of the document that is not white space, 0 when there is none.
func Kind(data []byte) byte {
	trimmed := bytes.TrimLeft(data, " \t\r\n\ufeff")
	if len(trimmed) == 0 {
		return 0
	}
	return trimmed[0]
}

// TrimBOM returns the document without a byte order mark before it.
func TrimBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\ufeff")) }

// InvalidUTF8 returns where the first byte is that is no valid UTF-8; -1 where there is none.
func InvalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// LineColumn returns the line, from 1, and the column, from 0, of an offset.
func LineColumn(data []byte, offset int64) (line, column int) {
	before := data[:min(offset, int64(len(data)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n') - 1
}

// PathAt returns the JSON path of the innermost value that reaches offset, as "policies[3].policyItems[0].users".
func PathAt(data []byte, offset int64) string {
	type level struct {
		array bool
		index int
		key   string
		isKey bool // the next token of an object is a key
	}
	var stack []level
	render := func(stack []level) string {
		var b strings.Builder
		for _, l := range stack {
			switch {
			case l.array:
				fmt.Fprintf(&b, "[%d]", l.index)
			case b.Len() > 0:
				b.WriteString("." + l.key)
			default:
				b.WriteString(l.key)
			}
		}
		return b.String()
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		reached := dec.InputOffset() >= offset
		if err != nil {
			return render(stack)
		}
		if delim, isDelim := token.(json.Delim); isDelim && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
		} else if top := len(stack) - 1; top >= 0 && !stack[top].array && stack[top].isKey {
			stack[top].key, stack[top].isKey = token.(string), false
			if reached && dec.InputOffset() > offset {
				return render(stack)
			}
			continue
		}
		if reached {
			return render(stack)
		}
		if delim, isDelim := token.(json.Delim); isDelim && (delim == '{' || delim == '[') {
			stack = append(stack, level{array: delim == '[', isKey: delim == '{'})
			continue
		}
		if top := len(stack) - 1; top >= 0 {
			stack[top].index++
			stack[top].isKey = !stack[top].array
		}
	}
}

// CutPath splits the first step off a path made by [PathAt]: a key, or an index when it is in brackets.
func CutPath(path string) (key string, index int, rest string) {
	if strings.HasPrefix(path, "[") {
		index = -1
		if end := strings.IndexByte(path, ']'); end > 0 {
			if _, err := fmt.Sscanf(path[1:end], "%d", &index); err != nil {
				index = -1
			}
			rest = path[end+1:]
		}
		return "", index, strings.TrimPrefix(rest, ".")
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return path, -1, ""
	}
	return path[:end], -1, strings.TrimPrefix(path[end:], ".")
}
