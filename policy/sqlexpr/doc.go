// Package sqlexpr reads the SQL expressions that policies write as row filters and masks, and writes what of them is safe for
// Databricks SQL. [Parse] refuses whatever it does not know, with the position and the reason; [Expr.SQL] builds the text
// anew from the tree, so that no character of a policy reaches a statement that was not understood. [Literal] and
// [Identifier] are the only ways in which names and values come into SQL text. Package protect calls it.
package sqlexpr
