package store_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// residentBytes returns the most memory that the process had, 0 where the system does not say.
func residentBytes(b *testing.B) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		b.Fatal(err)
	}
	return n << 10
}
