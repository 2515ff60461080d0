package connector_test

import (
	"slices"
	"testing"

	"ucwarden/connector/load"
	"ucwarden/policy"
)

// The inventory holds every object there is, Unity Catalog's own too, and nothing when a part cannot be listed.
func TestInventory(t *testing.T) {
	f := &fake{}
	newRig(t, rigOptions{wrap: through(f)})
	inventory, err := load.Inventory(t.Context(), f, 4)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for o := range inventory.Objects {
		got = append(got, o.Securable.String())
	}
	slices.Sort(got)
	for _, want := range []string{
		"CATALOG:system", "TABLE:system.access.audit", "CATALOG:hr", "SCHEMA:sales.apac", "TABLE:sales.emea.orders_v", "FUNCTION:sales.emea.churn",
		"VOLUME:sales.emea.landing", "EXTERNAL_LOCATION:lake", "CONNECTION:pg", "METASTORE:" + metastoreID,
	} {
		if _, found := slices.BinarySearch(got, want); !found {
			t.Errorf("%s is not in it: %q", want, got)
		}
	}
	if len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("an object twice: %q", got)
	}
	down := policy.Errorf(policy.CodeUnavailable, "no answer")
	f.list = func(_ policy.Securable, typ policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
		if typ == policy.Volume {
			return nil, down
		}
		return found, err
	}
	if _, err := load.Inventory(t.Context(), f, 0); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("error is %v", err)
	}
}
