package policy

import (
	"encoding/hex"
	"time"
)

// OpenAt tells by one comparable text which of the policies with validity schedules are in force at t. As long as it
// stays the same, so does what a [Compiler] makes of the snapshot. It is empty when no policy has a schedule.
func (s *Snapshot) OpenAt(t time.Time) string {
	var open []byte
	n := 0
	for list := range s.policyLists() {
		for i := range list {
			if len(list[i].ValiditySchedules) == 0 {
				continue
			}
			if n%8 == 0 {
				open = append(open, 0)
			}
			if list[i].ApplicableAt(t) {
				open[n/8] |= 1 << (n % 8)
			}
			n++
		}
	}
	return hex.EncodeToString(open)
}
