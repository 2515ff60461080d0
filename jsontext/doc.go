// Package jsontext reads the tokens of JSON texts, splits objects and arrays into the texts of their values, and says where
// in a text something stands: line and column, or the path of a value. Bytes and offsets come in; tokens, values, places and
// paths go out. Packages that look at JSON more closely than encoding/json call it: input, ondemand and policy/ranger.
package jsontext
