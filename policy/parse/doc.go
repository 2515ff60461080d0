// Package parse reads the JSON documents of Ranger, strictly. It takes their bytes, tells what they are ([Classify]) and returns them
// typed ([ServicePolicies], [PolicyFile], [Policies], [Roles], [UserStore], [Tags], [ServiceDef]), with the fields that Ranger's
// model does not have ([UnknownFields], [ProblemsOf]) and, in each policy, what of it cannot be understood (ranger.Fault). Package
// source calls it for the daemon, the policy commands and package suite for people. What a field means is decided in package
// rules alone.
package parse
