package policy_test

import (
	"encoding/json"
	"testing"

	"ucwarden/policy"
)

// TestPrincipals holds which names are one principal: users and service principals in any case, by one rule for all of
// Unicode, groups as they are spelled, and never two kinds.
func TestPrincipals(t *testing.T) {
	user, group, service := policy.User, policy.Group, policy.ServicePrincipal
	for _, tt := range []struct {
		a, b policy.Principal
		same bool
	}{
		{policy.NewPrincipal(user, "Ana@Acme.Example"), policy.NewPrincipal(user, "ana@acme.example"), true},
		{policy.NewPrincipal(user, "ÉVA@acme.example"), policy.NewPrincipal(user, "éva@acme.example"), true},
		{policy.NewPrincipal(user, "\u212Aim@acme.example"), policy.NewPrincipal(user, "kim@acme.example"), true}, // the sign for kelvin
		{policy.NewPrincipal(user, "ſam@acme.example"), policy.NewPrincipal(user, "SAM@acme.example"), true},
		{policy.NewPrincipal(user, "İan@acme.example"), policy.NewPrincipal(user, "ıAN@acme.example"), true},
		{policy.NewPrincipal(user, "ıan@acme.example"), policy.NewPrincipal(user, "ian@acme.example"), true},
		{policy.NewPrincipal(user, "STRAẞE@acme.example"), policy.NewPrincipal(user, "straße@acme.example"), true},
		{policy.NewPrincipal(user, "strasse@acme.example"), policy.NewPrincipal(user, "straße@acme.example"), false},
		{policy.NewPrincipal(user, "ΣΑΣ@acme.example"), policy.NewPrincipal(user, "σας@acme.example"), true},
		{policy.NewPrincipal(user, "Jose\u0301@acme.example"), policy.NewPrincipal(user, "jos\u00e9@acme.example"), true}, // an accent of its own
		{policy.NewPrincipal(user, "jose@acme.example"), policy.NewPrincipal(user, "jos\u00e9@acme.example"), false},
		{policy.NewPrincipal(user, " ana@acme.example\u00a0"), policy.NewPrincipal(user, "Ana@acme.example"), true},
		{policy.NewPrincipal(user, "ana@acme.example"), policy.NewPrincipal(user, "anna@acme.example"), false},
		{policy.NewPrincipal(service, "3F9D2C1E-0000-4000-8000-1A2B3C4D5E6F"), policy.NewPrincipal(service, "3f9d2c1e-0000-4000-8000-1a2b3c4d5e6f"), true},
		{policy.NewPrincipal(group, "Analysts"), policy.NewPrincipal(group, "analysts"), false},
		{policy.NewPrincipal(group, "Account Users"), policy.AccountUsers, true},
		{policy.NewPrincipal(user, "account users"), policy.AccountUsers, false},
		{policy.NewPrincipal(user, "analysts"), policy.NewPrincipal(group, "analysts"), false},
		{policy.PrincipalByShape("Ana@x"), policy.NewPrincipal(user, "ana@x"), true},
		{policy.PrincipalByShape("3f9d2c1e-0000-4000-8000-1a2b3c4d5e6f"), policy.NewPrincipal(service, "3F9d2c1e-0000-4000-8000-1a2b3c4d5e6f"), true},
		{policy.PrincipalByShape("3f9d2c1e-0000-4000-8000-1a2b3c4d5e6g"), policy.NewPrincipal(group, "3f9d2c1e-0000-4000-8000-1a2b3c4d5e6g"), true},
	} {
		if got := tt.a == tt.b; got != tt.same {
			t.Errorf("%s %q and %s %q are one: %t", tt.a.Kind, tt.a.Name, tt.b.Kind, tt.b.Name, got)
		}
	}
}

// TestSamePlainly holds which names are one person's beyond doubt, so that one may be granted what the other is allowed.
func TestSamePlainly(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"Ana@x", "aNA@X"}: true, {"ÉVA", "éva"}: true, {" ana", "ana\t"}: true, {"straße", "straße"}: true, {"ſam", "ſam"}: true,
		{"İan", "ian"}: false, {"ıan", "ian"}: false, {"\u212Aim", "kim"}: false, {"ſam", "sam"}: false, {"σας", "σασ"}: false, {"straße", "strasse"}: false, {"jose\u0301", "jos\u00e9"}: false, {"ana", "anna"}: false,
	} {
		if policy.SamePlainly(pair[0], pair[1]) != want || policy.SamePlainly(pair[1], pair[0]) != want {
			t.Errorf("%q and %q are one: %t", pair[0], pair[1], !want)
		}
		if want && policy.FoldPrincipal(pair[0]) != policy.FoldPrincipal(pair[1]) {
			t.Errorf("%q and %q are one beyond doubt and are not denied together", pair[0], pair[1])
		}
	}
}

func TestPrincipalJSON(t *testing.T) {
	a := policy.Assignment{Principal: policy.NewPrincipal(policy.User, "Ana@x"), Privilege: policy.Select}
	body, err := json.Marshal(a)
	if want := `{"principal":"ana@x","principalKind":"user","privilege":"SELECT"}`; err != nil || string(body) != want {
		t.Errorf("got %s, %v; want %s", body, err, want)
	}
	var again policy.Assignment
	if err := json.Unmarshal(body, &again); err != nil || again != a {
		t.Errorf("read back %v, %v", again, err)
	}
	if err := json.Unmarshal([]byte(`{"principal":"x","principalKind":"robot"}`), &again); policy.CodeOf(err) != policy.CodeInvalid {
		t.Errorf("an unknown kind: %v", err)
	}
}
