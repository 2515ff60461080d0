package connector

import (
	"strconv"

	"ucwarden/policy"
)

// listing is how many objects were found in a container, itself included.
type listing struct {
	root   policy.Securable
	listed int
}

// key is where the size is kept from run to run.
func (l listing) key() string { return "listing/" + l.root.String() }

// largestLoss returns the size of the listing that lost the largest part of what it showed the last time, now and then;
// 0 and 0 when no listing is known from before. A container that is new says nothing about the others, and the loss of
// one is not made up for by what another has gained. A nil state knows none.
func largestLoss(state State, listings []listing) (now, before int, err error) {
	if state == nil {
		return 0, 0, nil
	}
	for _, l := range listings {
		value, err := state.Load(l.key())
		if err != nil {
			return 0, 0, policy.Errorf(policy.CodeUnavailable, "read the size of the last listing of %s: %w", l.root, err)
		}
		last, err := strconv.Atoi(string(value))
		if err != nil || last <= 0 { // none, or not one of ours
			continue
		}
		if before == 0 || l.listed*before < now*last {
			now, before = l.listed, last
		}
	}
	return now, before, nil
}

// saveSizes saves the sizes of the listings that a plan was made and not refused for; nowhere in a nil state.
func saveSizes(state State, listings []listing) error {
	if state == nil {
		return nil
	}
	for _, l := range listings {
		if err := state.Save(l.key(), strconv.AppendInt(nil, int64(l.listed), 10)); err != nil {
			return err
		}
	}
	return nil
}
