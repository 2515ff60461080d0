package emulator

import (
	"net/url"
	"slices"
	"strings"
)

// oneOf returns an error if the value is not one of allowed. It sets an empty value to fallback; if that is empty too,
// the value is required.
func oneOf(field string, value *string, fallback string, allowed ...string) error {
	if *value == "" {
		*value = fallback
	}
	if *value == "" {
		return invalid("%s is required: one of %s.", field, strings.Join(allowed, ", "))
	}
	if !slices.Contains(allowed, *value) {
		return invalid("%s '%s' is not one of %s.", field, *value, strings.Join(allowed, ", "))
	}
	return nil
}

// checkURL returns an error unless text is a storage URL of a scheme in the specification, or empty and not required.
func checkURL(field, text string, required bool) error {
	if text == "" {
		if required {
			return invalid("%s is required.", field)
		}
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return invalid("%s is not a URL.", field)
	}
	switch {
	case u.Scheme == "abfss" && u.User != nil && u.Host != "":
	case (u.Scheme == "s3" || u.Scheme == "gs") && u.Host != "" && u.User == nil && u.Port() == "":
	default:
		return invalid("%s '%s' must be abfss://container@account.dfs.core.windows.net/path, s3://bucket/path or gs://bucket/path.", field, text)
	}
	for element := range strings.SplitSeq(u.Path, "/") {
		if element == "." || element == ".." { // which some storage resolves, so that it may overlap with anything
			return invalid("%s '%s' must not have '.' or '..' as a path element.", field, text)
		}
	}
	return nil
}

// urlsOverlap reports whether two storage URLs are equal or one is inside the other.
func urlsOverlap(a, b string) bool { return urlWithin(a, b) || urlWithin(b, a) }

// urlWithin reports whether the URL inner equals outer or is below it. They are compared by path element, so a/bc is not
// below a/b.
func urlWithin(inner, outer string) bool {
	return strings.HasPrefix(canonicalURL(inner)+"/", canonicalURL(outer)+"/")
}

// canonicalURL returns a storage URL with scheme and host in lower case, and without empty path elements.
func canonicalURL(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	host, path, _ := strings.Cut(rest, "/")
	canonical := strings.ToLower(scheme + "://" + host)
	for element := range strings.SplitSeq(path, "/") {
		if element != "" {
			canonical += "/" + element
		}
	}
	return canonical
}
