// Package protect compiles the row filters and masks of policies to functions in SQL, one for the rows of a table and one for
// each masked column, in which one CASE over the memberships of who asks chooses as Ranger's first matching item does. In go a
// rule set and a table with its columns; out come the functions, what the table is to carry, and findings for what could not
// be expressed, which closes: whom it binds sees no row, or NULL. Package attach brings that to the table. The connector, explain and suite
// call it.
package protect
