package match

import (
	"time"

	"ucwarden/policy/ranger"
	"ucwarden/policy/schedule"
)

// Tag is a tag on one resource.
type Tag struct {
	Type       string
	Attributes map[string]string
	Match      Type              // how the tagged resource lies to the one asked for
	Validity   schedule.Validity // when the tag is there
	Timed      bool              // it has periods of validity
	Unclear    bool              // whether it is there cannot be understood: by it policies take access away, and give none
	Path       Path              // of the tag as a resource of the tag service
}

// Over reports whether it is certain that the tag is not there at a time, nor at any later one: its periods are over, or never open.
func (t *Tag) Over(at time.Time) bool {
	return t.Timed && !t.Unclear && !at.IsZero() && !t.Validity.OpensWithin(at, time.Time{})
}

// NewTag prepares a tag. With a period of validity that nobody can read it is unclear whether it is there.
func NewTag(typ string, attributes map[string]string, schedules []ranger.ValiditySchedule, m Type) *Tag {
	t := &Tag{Type: typ, Attributes: attributes, Match: m, Timed: len(schedules) > 0}
	var err error
	if t.Validity, err = schedule.New(schedules); err != nil {
		t.Validity, t.Unclear = nil, true
	}
	t.Path.setTag(typ)
	return t
}
