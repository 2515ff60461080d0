// Package attach brings what a table carries to what it is to carry. In go a table, the functions that are to filter its rows and
// mask its columns, and those that the workspace has; out comes the change, or why there can be none: [Diff] never changes what
// others made. [StatementsOf] writes a change as SQL, [Name] gives functions the names and comments by which [Ours] knows them.
// Package protect names its functions by it; connector/protection calls the rest.
package attach
