// Package condition judges the conditions of policies and their items. In go a service definition, which says how each is
// judged, the conditions and the values of a request; out comes met, not met, or unknown: nobody can judge a condition that
// is not understood, nor one written as a script where no scripts are run. [Definitions.Problems] says what of a condition
// nothing can judge or match. Packages rules and lint call it.
package condition
