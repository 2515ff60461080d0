package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ucwarden/input"
	"ucwarden/policy/ranger"
	"ucwarden/policy/schedule"
)

// tagged returns the tags with what of them cannot be understood noted in their faults: resources with a level that names nothing, which
// would stand for everything there, ids that several have, what is of another service or switched off, and periods of validity that
// nobody can read. What follows is decided in package rules. A policy's resources are checked alike, see [verifier.resources].
func (v *verifier) tagged(t *ranger.ServiceTags, service string) *ranger.ServiceTags {
	if t == nil {
		return nil
	}
	v.faults = nil
	others := t.OfOthers(service)
	service = cmp.Or(t.ServiceName, service)
	places := make(map[int64]int, len(t.ServiceResources)) // of ids
	for i := range t.ServiceResources {
		r := &t.ServiceResources[i]
		path := fmt.Sprintf("serviceResources[%d]", i)
		if others[i] {
			continue
		}
		if r.ServiceName != "" && service != "" && r.ServiceName != service {
			if _, ours := v.model.Levels(ranger.PolicyTypeAccess, r.ResourceElements); !ours {
				continue // nothing of Unity Catalog
			}
			v.fault(path+".serviceName", "it is of service %q, not of %q; correct the name, or remove the resource", r.ServiceName, service)
		}
		v.taggedResource(path, r)
		v.switchedOff(path, r.IsEnabled)
		if other, twice := places[r.ID]; !twice {
			places[r.ID] = i
		} else if len(t.ResourceToTagIDs[strconv.FormatInt(r.ID, 10)]) > 0 {
			for _, of := range []int{other, i} {
				v.fault(fmt.Sprintf("serviceResources[%d].id", of), "several resources have the id %d, and which of them carries the tags of %d is not known; give each its own", r.ID, r.ID)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Tags)) {
		tag := t.Tags[id]
		path := "tags." + id
		v.switchedOff(path, tag.IsEnabled)
		for option := range tag.Options {
			if input.Misspelt(option, []string{ranger.TagPeriodsOption}) != "" {
				v.fault(path+".options."+option, "there is no such option; did you mean %s?", ranger.TagPeriodsOption)
			}
		}
		periods, err := tag.Periods()
		if err != nil {
			v.fault(path+".options."+ranger.TagPeriodsOption, "%v", err)
		} else if _, err := schedule.New(periods); err != nil {
			at, reason, _ := strings.Cut(err.Error(), ": ")
			v.fault(path+"."+strings.Replace(at, "validitySchedules", "validityPeriods", 1), "%s", reason)
		}
	}
	if len(v.faults) == 0 && len(t.Faults) == 0 {
		return t
	}
	c := *t
	c.Faults = v.faults
	return &c
}

func (v *verifier) taggedResource(path string, r *ranger.ServiceResource) {
	for name, of := range r.ResourceElements {
		switch field := path + ".resourceElements." + name; {
		case v.model.Resources[name] == nil: // nothing carries the tag by it, which is said by itself
		case len(of.Values) == 0:
			v.fault(field, "it names nothing, which would stand for every %s; name one, or \"*\" where every one is meant", name)
		case slices.Contains(of.Values, ""):
			v.fault(field, "a value is empty; name a %s, or remove it", name)
		}
	}
}

func (v *verifier) switchedOff(path string, enabled *bool) {
	if enabled != nil && !*enabled {
		v.fault(path+".isEnabled", "it is switched off, which Ranger disregards; remove it, or what it says")
	}
}
