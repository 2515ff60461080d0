// Package statement parses the SQL statements that the Unity Catalog emulator carries out: GRANT, REVOKE, SHOW GRANTS, the
// statements that change owners and tags, those that make functions and set row filters and masks, and SELECT on one table or
// view of an information schema. It evaluates the expressions of such functions. Its Parse takes the text of one
// statement and returns what it asks for; the emulator decides who may. Identifiers, literals and comments are those of
// Databricks SQL.
package statement
