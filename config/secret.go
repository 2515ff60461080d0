package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Mask stands for a secret wherever one would be printed.
const Mask = "********"

// Secret is a value that must not be shown. Every way of printing it gives [Mask], or nothing when it is unset; only
// [Secret.Reveal] gives the value. The zero Secret is unset.
type Secret struct {
	// A pointer, because fmt and reflection print the fields of unexported structs without asking for methods, and
	// then show an address only.
	value *string
}

// NewSecret wraps value; the empty value gives the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal gives the value itself, for the one place that sends it; "" when unset.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.value != nil }

// Equal compares the values.
func (s Secret) Equal(o Secret) bool { return s.IsSet() == o.IsSet() && s.Reveal() == o.Reveal() }

// String gives the mask, or "" when unset.
func (s Secret) String() string {
	if s.value == nil {
		return ""
	}
	return Mask
}

// GoString masks %#v.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// Format masks every verb, the ones that would skip String included.
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

// MarshalText masks JSON, YAML and every other encoder that asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON masks JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML masks YAML.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue masks structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
