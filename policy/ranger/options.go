package ranger

import (
	"encoding/json"
	"strings"
)

// OptionMap holds options by name. Ranger's documents write their values as texts, booleans or numbers alike; all are
// held as texts.
type OptionMap map[string]string

// UnmarshalJSON reads an object whose values are texts, booleans, numbers or null, which is left out.
func (o *OptionMap) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw == nil {
		*o = nil
		return nil
	}
	*o = make(OptionMap, len(raw))
	for name, value := range raw {
		switch value[0] {
		case 'n':
		case '"':
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return err
			}
			(*o)[name] = text
		default:
			(*o)[name] = string(value)
		}
	}
	return nil
}

// Bool returns an option of a service definition as a boolean: true when its text is "true" in any case, def when it is absent or
// empty. Source: ServiceDefUtil.getBooleanValue.
func (o OptionMap) Bool(name string, def bool) bool {
	if o[name] == "" {
		return def
	}
	return o.Matching(name, def)
}

// Matching is Bool for an option of a matcher, of which an empty text is false. Source: ServiceDefUtil.getBooleanOption.
func (o OptionMap) Matching(name string, def bool) bool {
	if text, ok := o[name]; ok {
		return strings.EqualFold(text, "true")
	}
	return def
}
