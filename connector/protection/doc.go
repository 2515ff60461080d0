// Package protection brings the row filters and masks that package protect compiles onto the tables of a workspace. [Worker.Plan]
// reads what tables carry and what functions there are, and returns what is to be changed and which tables are protected,
// so that they may be granted; [Worker.Apply] makes functions, sets filters and masks, and looks at the result;
// [Worker.Lift] takes away what is not wanted any more, once grants are in place. Nothing that is not ours is changed.
// The connector calls it, between its revokes and its grants.
package protection
