// Package explain says for one principal and one object what decides each privilege, and why. It takes a rules.RuleSet, the
// compile.Options in force, and a [Question], with the grants of today where they are known. [Explain] returns an
// [Explanation]: for each privilege the policy items that allow, deny or except it, the grants it compiles to
// ([ExplainedGrant]) and what Unity Catalog cannot express. The command "policy explain" calls it; package lint uses its
// paths of items. It asks package evaluate and package compile, and decides nothing itself.
package explain
