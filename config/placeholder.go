package config

import (
	"regexp"
	"slices"
	"strings"
)

const placeholderProblem = "is still a placeholder: write the real value, or leave the setting out"

var (
	// wholePlaceholder matches what templates leave where nobody filled in a value, or nothing expanded a variable.
	wholePlaceholder = regexp.MustCompile(`^(?:<[^<>]+>|\$\{[^{}]*\}|\$\([^()]*\)|\{\{.*\}\}|%[A-Z_]+%)$`)
	// innerPlaceholder matches one inside a value: https://<WORKSPACE>.cloud.databricks.com.
	// In a URL any will do, since it holds none of these brackets.
	innerPlaceholder = regexp.MustCompile(`<[A-Z][A-Z0-9_ -]{2,}>|<(?i:please|your|change|replace|insert)[^<>]*>`)
	urlPlaceholder   = regexp.MustCompile(`[<>{}]`)
)

// placeholderWords stand for a secret or a URL, in letters and digits only.
var placeholderWords = []string{
	"pleasechange", "pleasechangeme", "changeme", "changethis", "replaceme", "replacethis", "fillme", "fillin", "fillmein", "todo", "tbd", "placeholder",
	"yourtoken", "yourtokenhere", "yoursecret", "yoursecrethere", "yourpassword", "yourpasswordhere", "inserttokenhere",
}

// isPlaceholder reports whether a value of the type was never filled in.
func isPlaceholder(t Type, text string) bool {
	text = strings.TrimSpace(text)
	if wholePlaceholder.MatchString(text) || innerPlaceholder.MatchString(text) {
		return true
	}
	if t == TypeURL && urlPlaceholder.MatchString(text) {
		return true
	}
	if t != TypeSecret && t != TypeURL {
		return false
	}
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(strings.TrimPrefix(text, "https://")))
	return slices.Contains(placeholderWords, word) || len(word) > 2 && strings.Trim(word, "x") == "" && strings.Trim(strings.ToLower(text), "x") == ""
}
