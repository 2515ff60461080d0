package config

import (
	"fmt"
	"io"
	"log/slog"
)

// secretMask is printed instead of a secret.
const secretMask = "********"

// Secret is a value that must not be printed. Formatting, encoding or logging it prints a mask, or nothing when it is
// unset; only [Secret.Reveal] returns the value. The zero Secret is unset.
type Secret struct {
	// A pointer, because fmt and reflection print the fields of unexported structs without calling methods, and then
	// print only an address.
	value *string
}

// NewSecret returns a Secret with the value; the zero Secret for "".
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value, for the code that sends it; "" when unset.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.value != nil }

// Equal reports whether two secrets have the same value.
func (s Secret) Equal(o Secret) bool { return s.IsSet() == o.IsSet() && s.Reveal() == o.Reveal() }

// String returns a mask, or "" when unset.
func (s Secret) String() string {
	if s.value == nil {
		return ""
	}
	return secretMask
}

// GoString returns a mask for %#v.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// Format prints a mask for every verb, including those that do not call String.
func (s Secret) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('#'):
		_, _ = io.WriteString(f, s.GoString())
	case verb == 'q':
		fmt.Fprintf(f, "%q", s.String())
	default:
		_, _ = io.WriteString(f, s.String())
	}
}

// MarshalText returns a mask, for every encoder that uses text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON returns a mask.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML returns a mask.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue returns a mask for structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
