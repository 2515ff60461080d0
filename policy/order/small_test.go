package order_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each rule of the order in the smallest world that needs it.
func TestSmallWorlds(t *testing.T) {
	for _, test := range []struct {
		name     string
		old, new string // TYPE:name principal PRIVILEGE, by semicolons
		want     string // wave TYPE:name +principal PRIVILEGE ..., by semicolons
	}{
		{"a grant that moves up is there before it goes",
			"CATALOG:c g1 USE_CATALOG; SCHEMA:c.s1 g1 USE_SCHEMA; TABLE:c.s1.t g1 SELECT", "CATALOG:c g1 USE_CATALOG; SCHEMA:c.s1 g1 USE_SCHEMA; SCHEMA:c.s1 g1 SELECT",
			"1 SCHEMA:c.s1 +g1 SELECT; 2 TABLE:c.s1.t -g1 SELECT"},
		{"a grant that nobody could use goes before the way to it opens",
			"CATALOG:c g1 USE_CATALOG; TABLE:c.s1.t g1 SELECT", "CATALOG:c g1 USE_CATALOG; SCHEMA:c.s1 g1 USE_SCHEMA",
			"1 TABLE:c.s1.t -g1 SELECT; 2 SCHEMA:c.s1 +g1 USE_SCHEMA"},
		{"also where ALL_PRIVILEGES opens it, and to somebody who may be in another group",
			"CATALOG:c g1 USE_CATALOG; VOLUME:c.s1.v g1 MANAGE", "CATALOG:c g1 USE_CATALOG; SCHEMA:c.s1 g2 ALL_PRIVILEGES",
			"1 VOLUME:c.s1.v -g1 MANAGE; 2 SCHEMA:c.s1 +g2 ALL_PRIVILEGES"},
		{"a way that goes is gone before something is granted behind it",
			"CATALOG:c u1@example.com USE_CATALOG; SCHEMA:c.s1 u1@example.com USE_SCHEMA", "CATALOG:c u1@example.com USE_CATALOG; CATALOG:c u1@example.com MANAGE",
			"1 SCHEMA:c.s1 -u1@example.com USE_SCHEMA; 2 CATALOG:c +u1@example.com MANAGE"},
		{"also where ALL_PRIVILEGES is the way",
			"CATALOG:c g1 USE_CATALOG; SCHEMA:c.s1 g1 ALL_PRIVILEGES", "CATALOG:c g1 USE_CATALOG; TABLE:c.s1.t g1 MANAGE",
			"1 SCHEMA:c.s1 -g1 ALL_PRIVILEGES; 2 TABLE:c.s1.t +g1 MANAGE"},
		{"the way by ALL_PRIVILEGES stays until there is another",
			"CATALOG:c g2 USE_CATALOG; SCHEMA:c.s1 g2 ALL_PRIVILEGES", "CATALOG:c g1 SELECT; CATALOG:c g1 USE_CATALOG; CATALOG:c g1 USE_SCHEMA",
			"1 CATALOG:c +g1 SELECT +g1 USE_CATALOG +g1 USE_SCHEMA -g2 USE_CATALOG; 2 SCHEMA:c.s1 -g2 ALL_PRIVILEGES"},
		{"where it must go before and after something else, USE_* stands in for it",
			"CATALOG:c g1 ALL_PRIVILEGES; CATALOG:c g2 USE_CATALOG; CATALOG:c g3 ALL_PRIVILEGES; SCHEMA:c.s1 g2 MANAGE",
			"CATALOG:c g1 USE_SCHEMA; CATALOG:c g2 USE_CATALOG; SCHEMA:c.s1 g1 ALL_PRIVILEGES; SCHEMA:c.s1 g1 MANAGE; SCHEMA:c.s1 g2 USE_SCHEMA",
			"1 CATALOG:c +g1 USE_SCHEMA +g3 USE_SCHEMA (temporary) -g3 ALL_PRIVILEGES; 1 SCHEMA:c.s1 +g1 ALL_PRIVILEGES; 2 CATALOG:c -g1 ALL_PRIVILEGES keep [g1 USE_SCHEMA]; 3 SCHEMA:c.s1 +g1 MANAGE +g2 USE_SCHEMA -g2 MANAGE; 4 CATALOG:c -g3 USE_SCHEMA (temporary)"},
		{"nobody is two users",
			"CATALOG:c u1@example.com USE_CATALOG; TABLE:c.s1.t u1@example.com SELECT", "CATALOG:c u1@example.com USE_CATALOG; SCHEMA:c.s1 u2@example.com USE_SCHEMA",
			"1 TABLE:c.s1.t -u1@example.com SELECT; 1 SCHEMA:c.s1 +u2@example.com USE_SCHEMA"},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, new := worldOf(test.old), worldOf(test.new)
			plan, findings, _ := planOf(&old, &new)
			var got []string
			for line := range strings.Lines(spell(plan)) {
				if i := strings.Index(line, " waits for"); i >= 0 {
					line = line[:strings.LastIndex(line[:i], "  (")]
				}
				got = append(got, strings.Join(strings.Fields(line), " "))
			}
			if diff := cmp.Diff(strings.Split(test.want, "; "), got); diff != "" || len(findings) > 0 {
				t.Errorf("plan (-want +got):\n%s%v", diff, findings)
			}
		})
	}
}

func worldOf(grants string) (w world) {
	for text := range strings.SplitSeq(grants, "; ") {
		f := strings.Fields(text)
		w[slices.Index(places[:], f[0])][slices.Index(names, f[1])] |= of(f[2])
	}
	return w
}
