package emulator

import "encoding/json"

// allResources returns the collections of the API.
func allResources() []*resource {
	return []*resource{
		metastores(), storageCredentials(), externalLocations(), catalogs(), schemas(), tables(), shares(), recipients(), providers(),
		functions(), registeredModels(), volumes(), serviceCredentials(), connections(),
	}
}

// anyFunction returns a resource of both functions and registered models: the permissions API calls both "function".
func anyFunction() *resource {
	return &resource{path: "functions", label: "FUNCTION", typ: typeFunction}
}

// stringMap is a JSON object of strings. Decoding replaces the map rather than adding to it, so a detail may share it.
type stringMap map[string]string

func (m *stringMap) UnmarshalJSON(b []byte) error {
	var next map[string]string
	if err := json.Unmarshal(b, &next); err != nil {
		return err
	}
	*m = next
	return nil
}
