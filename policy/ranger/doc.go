// Package ranger holds policies as Ranger writes them: types, service definitions, roles, zones and tags. Package parse reads JSON
// documents into them; [NewSnapshot] takes what was read and returns a [Snapshot], one version of everything, with what is
// wrong in it: [Fault] in a policy, [Problem] and [UnknownField] outside. Packages source and suite make snapshots. What a
// [Policy] means is decided in package rules alone.
package ranger
