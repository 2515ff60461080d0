// Package ranger holds policies as Ranger writes them: types, strict parsing, service definitions, roles, zones and tags.
// It takes JSON documents ([ParsePolicies], [ParseServicePolicies], [ParseRoles], [ParseUserStore], [ParseTags]) and
// returns typed documents and the fields that Ranger's model does not have ([UnknownField]); [NewSnapshot] joins documents
// into a [Snapshot], one version of everything. Package source calls it for the daemon, the policy commands and package
// suite for people. What a [Policy] means is decided in package rules alone.
package ranger
