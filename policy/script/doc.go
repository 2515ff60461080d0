// Package script runs the JavaScript of policies: conditions, and expressions in resource values, masks and filters.
// In goes the source of a script, and for each run the values of one request; out comes whether the condition is met, or
// the text of the expression, or an error when the script cannot be read, fails or takes too long.
// It is called by the commands that test, explain or lint policies, which hand [Compile] to the policy. The daemon never
// reaches it, because scripts decide no grant: a policy with a condition is not compiled to grants.
package script
