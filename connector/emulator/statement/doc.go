// Package statement parses the SQL statements that the Unity Catalog emulator carries out: GRANT, REVOKE, SHOW GRANTS, the
// statements that change owners and tags, and SELECT on one view of an information schema. Its Parse takes the text of one
// statement and returns what it asks for; the emulator decides who may. Identifiers, literals and comments are those of
// Databricks SQL.
package statement
