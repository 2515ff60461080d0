// Package grantrules reads from policies what decides grants of Unity Catalog. It takes a rules.RuleSet ([Read], with [Options]) and
// returns [Rules]: each policy in force with what it allows and denies as privileges, the regions of the catalogs where it
// holds, those of security zones, and findings on what grants cannot express. What cannot be expressed of an allow is left out;
// of a deny, it is denied. Package compile calls it, and works out from it what is granted.
package grantrules
