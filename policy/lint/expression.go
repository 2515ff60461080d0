package lint

import (
	"strings"

	"ucwarden/policy/ranger"
	"ucwarden/policy/sqlexpr"
)

// filterExpression reports what of a row filter's expression is refused on any table, whatever columns that has.
func (l *lintList) filterExpression(p *ranger.Policy, field, text string) {
	l.sqlExpression(p, field, text, sqlexpr.Options{}, "no row")
}

// maskExpression does so for a mask of type CUSTOM.
func (l *lintList) maskExpression(p *ranger.Policy, field string, mask *ranger.DataMaskInfo) {
	if mask.DataMaskType == "CUSTOM" {
		l.sqlExpression(p, field, mask.ValueExpr, sqlexpr.Options{Self: "string"}, "NULL")
	}
}

func (l *lintList) sqlExpression(p *ranger.Policy, field, text string, o sqlexpr.Options, hidden string) {
	if strings.TrimSpace(text) == "" || faulty(p, field) {
		return
	}
	o.AnyColumn = true
	o.Macros = func(string) (sqlexpr.Kind, error) { return sqlexpr.Null, nil } // what they stand for is not known here
	e, err := sqlexpr.Parse(text, o)
	switch {
	case err != nil:
		l.find(p, SeverityWarning, CheckFidelity, field, "it is refused, so that whom it binds sees %s: %v", hidden, err)
	case e.ReadsClock():
		l.find(p, SeverityInfo, CheckFidelity, field, "it depends on the time of the query: expect Databricks to refuse MERGE into tables that carry it; write it without the clock where that is needed")
	}
}
