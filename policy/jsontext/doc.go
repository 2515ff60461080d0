// Package jsontext reads the tokens of JSON texts, and says where in a text something stands: line and column, or the path
// of a value. Bytes and offsets come in, tokens, places and paths go out. Package ranger calls it.
package jsontext
