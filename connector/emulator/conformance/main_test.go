package conformance_test

import (
	"net/url"
)

func escape(name string) string { return url.PathEscape(name) }
