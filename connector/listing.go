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

// listings gives the size of the listing that lost the largest part of what it showed the last time, now and then; 0
// and 0 when no listing is known from before. A container that is new says nothing about the others, and the loss of
// one is not made up for by what another has gained.
func (w *work) listings() (now, before int, err error) {
	if w.s.State == nil {
		return 0, 0, nil
	}
	for _, l := range w.loaded.listings {
		value, err := w.s.State.Load(l.key())
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

// remember saves the sizes of the listings that a plan was made and not refused for.
func (w *work) remember() error {
	if w.s.State == nil {
		return nil
	}
	for _, l := range w.loaded.listings {
		if err := w.s.State.Save(l.key(), strconv.AppendInt(nil, int64(l.listed), 10)); err != nil {
			return err
		}
	}
	return nil
}
