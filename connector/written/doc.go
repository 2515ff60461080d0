// Package written compares what the workspace shows after a change with what it was to do. What was granted before, a change and
// the answer to it go in; [Change] returns what of it is not so yet and the further change that may help, [Watch] the securables
// whose grants somebody else has changed since the plan was made. Package connector calls it for each change that it sends.
package written
