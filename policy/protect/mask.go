package protect

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/attach"
	"ucwarden/policy/ranger"
	"ucwarden/policy/sqlexpr"
)

// mask compiles the mask of a column, if it needs one.
func (c *compilation) mask(column *policy.Column) error {
	resource, ok := c.resourceOfColumn(column.Name)
	if !ok {
		return nil
	}
	branches := c.branches(ranger.PolicyTypeDataMask, resource)
	if len(branches) == 0 && c.limited == "" {
		return nil
	}
	c.bind(branches)
	var have *policy.Attached
	if m, ok := c.table.Protection.Masks[strings.ToLower(column.Name)]; ok {
		have = &m
	}
	fn, arguments, err := c.settle(have, func() (policy.SQLFunction, []policy.Argument, error) { return c.maskFunction(column, branches) })
	if err != nil || fn.Name == "" {
		return err
	}
	if !slices.ContainsFunc(c.out.Functions, func(other policy.SQLFunction) bool { return other.Name == fn.Name }) {
		c.out.Functions = append(c.out.Functions, fn)
	}
	if c.out.Protection.Masks == nil {
		c.out.Protection.Masks = make(map[string]policy.Attached)
	}
	c.out.Protection.Masks[strings.ToLower(column.Name)] = policy.Attached{Function: fn.Name, Arguments: arguments}
	return nil
}

// maskFunction returns the function that masks a column, and what it is called with; one without a name where none is needed.
func (c *compilation) maskFunction(column *policy.Column, branches []branch) (fn policy.SQLFunction, arguments []policy.Argument, err error) {
	f := &function{}
	parameters := &parameters{table: c.table, self: column}
	if err := c.exemptFrom(f, "val"); err != nil {
		return fn, nil, err
	}
	if err := c.limit(f, column); err != nil {
		return fn, nil, err
	}
	otherwise := shown{open: "val", hidden: null(column.Type), words: "NULL in place of what it masks"}
	if err := c.walk(f, branches, otherwise, func(b *branch) string { return c.value(b, column, parameters) }); err != nil {
		return fn, nil, err
	}
	body := f.body("val")
	if body == "val" {
		return fn, nil, nil
	}
	list, err := parameters.list()
	if err != nil {
		return fn, nil, err
	}
	fn = policy.SQLFunction{Parameters: list, Returns: column.Type, Body: body}
	attach.Name(&fn, c.schema(), nil, f.policies)
	return fn, parameters.arguments(), nil
}

// value returns what whoever a branch is for sees of the column, as SQL of the column's type.
func (c *compilation) value(b *branch, column *policy.Column, parameters *parameters) string {
	refuse := func(why string) string {
		c.refuse(b, column.Name, why)
		return null(column.Type)
	}
	mask := b.item.Mask
	switch {
	case b.doubtful != "":
		return refuse(b.doubtful)
	case len(b.item.Conditions) > 0:
		return refuse("it holds only under a condition (" + b.item.DescribeConditions() + ")")
	case strings.TrimSpace(mask.ConditionExpr) != "":
		return refuse("a condition on rows (conditionExpr) is not supported")
	}
	if mask.DataMaskType == "CUSTOM" {
		if strings.TrimSpace(mask.ValueExpr) == "" {
			return refuse("it is of type CUSTOM and has no valueExpr")
		}
		text, err := c.expression(b, mask.ValueExpr, column, parameters)
		if err != nil {
			return refuse(err.Error())
		}
		return text
	}
	transformer, ok := c.set.Model.Transformer(mask.DataMaskType)
	if !ok {
		return refuse(fmt.Sprintf("the service definition has no mask type %q", mask.DataMaskType))
	}
	text, err := c.transform(b, mask.DataMaskType, transformer, column, parameters)
	if err != nil {
		return refuse("the transformer of its mask type: " + err.Error())
	}
	return text
}

func null(typeText string) string { return "CAST(NULL AS " + typeText + ")" }

// expression returns an expression of a policy or service definition as SQL of the column's type.
func (c *compilation) expression(b *branch, text string, column *policy.Column, parameters *parameters) (string, error) {
	e, m, err := c.parse(b, text, sqlexpr.Options{Columns: c.table.Columns, Self: column.Type, SelfName: column.Name})
	if err != nil {
		return "", err
	}
	env, err := c.env(b, e, m, parameters)
	if err != nil {
		return "", err
	}
	env.Self = "val"
	out, err := write(e, env)
	if err != nil {
		return "", err
	}
	c.noteTimes(b, e, fmt.Sprintf("its mask of column %q", column.Name))
	switch {
	case out == "val":
		return out, nil
	case e.Kind() == sqlexpr.Null && out == "NULL":
		return null(column.Type), nil
	case sqlexpr.KindOf(column.Type) == sqlexpr.Other:
		return "", fmt.Errorf("the column is of type %s, to which values cannot be converted", column.Type)
	case !e.CanBecome(column.Type):
		return "", fmt.Errorf("its value cannot be converted to %s, the type of the column", column.Type)
	}
	if len(e.Columns()) > 0 {
		c.find(b, policy.EffectNone, "%s[%d]: its mask of column %q reads other columns; whether it sees them masked, where they are, is up to Unity Catalog", b.item.Kind, b.item.Index, column.Name)
	}
	return "try_cast(" + out + " AS " + column.Type + ")", nil
}

// The transformers of Ranger's service definition for Hive, which mean something else for each type of column.
var (
	hiveMask     = regexp.MustCompile(`^mask\(\{col\}\)$`)
	hiveShow     = regexp.MustCompile(`^mask_show_(first|last)_n\(\{col\},(\d{1,4}),'(.)','(.)','(.)',(-1|'.'),'(\d)'\)$`)
	hiveHash     = regexp.MustCompile(`^mask_hash\(\{col\}\)$`)
	hiveShowYear = regexp.MustCompile(`^mask\(\{col\},'x','x','x',-1,'1',1,0,-1\)$`)
	blanks       = regexp.MustCompile(`\s+`)
)

// transform returns what a mask type makes of the column, by the transformer that the service definition has for it. Those
// of Hive are recognised; others are expressions like those of a policy. Source: Hive's GenericUDFMask and its like.
func (c *compilation) transform(b *branch, name, transformer string, column *policy.Column, parameters *parameters) (string, error) {
	kind, whole := sqlexpr.KindOf(column.Type), isInteger(column.Type)
	cast := func(text string) string {
		if strings.EqualFold(column.Type, "string") {
			return text
		}
		return "try_cast(" + text + " AS " + column.Type + ")"
	}
	shown := func() string {
		c.find(b, policy.EffectNone, "%s[%d]: mask type %s shows NULL of columns of type %s", b.item.Kind, b.item.Index, name, column.Type)
		return null(column.Type)
	}
	plain := blanks.ReplaceAllString(strings.TrimSpace(transformer), "")
	switch {
	case plain == "" && name == maskNone, plain == "{col}":
		return "val", nil
	case strings.EqualFold(plain, "NULL"):
		return null(column.Type), nil
	case hiveMask.MatchString(plain):
		switch {
		case kind == sqlexpr.String:
			text, err := c.masked("val", "X", "x", "n")
			return cast(text), err
		case whole:
			return cast(digits(0, true)), nil
		}
		return shown(), nil
	case hiveHash.MatchString(plain):
		if kind != sqlexpr.String {
			return shown(), nil
		}
		c.find(b, policy.EffectNone, "mask type %s shows the SHA-256 of values, which who knows or guesses a value can recognise", name)
		return cast("sha2(val, 256)"), nil
	case hiveShowYear.MatchString(plain):
		if kind == sqlexpr.Date || kind == sqlexpr.Timestamp {
			return "CAST(date_trunc('YEAR', val) AS " + column.Type + ")", nil
		}
		return shown(), nil
	}
	if m := hiveShow.FindStringSubmatch(plain); m != nil {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return "", err
		}
		switch {
		case kind == sqlexpr.String && m[1] == "last":
			text, err := c.masked(fmt.Sprintf("left(val, greatest(length(val) - %d, 0))", n), m[3], m[4], m[5])
			return cast(fmt.Sprintf("concat(%s, right(val, %d))", text, n)), err
		case kind == sqlexpr.String:
			text, err := c.masked(fmt.Sprintf("right(val, greatest(length(val) - %d, 0))", n), m[3], m[4], m[5])
			return cast(fmt.Sprintf("concat(left(val, %d), %s)", n, text)), err
		case whole:
			return cast(digits(n, m[1] == "last")), nil
		}
		return shown(), nil
	}
	return c.expression(b, transformer, column, parameters)
}

// masked returns a text with its letters and digits replaced.
func (c *compilation) masked(text, upper, lower, digit string) (string, error) {
	arguments := []string{upper, lower, digit}
	if c.options.MaskOther != "" {
		arguments = append(arguments, c.options.MaskOther)
	} else if upper == "X" && lower == "x" && digit == "n" {
		return "mask(" + text + ")", nil
	}
	list, err := literals(arguments)
	return "mask(" + text + ", " + list + ")", err
}

// digits returns a whole number whose digits are 1 but for the last or first n, as text.
func digits(n int, last bool) string {
	const text = "replace(CAST(val AS STRING), '-', '')"
	sign, hidden := "CASE WHEN val < 0 THEN '-' ELSE '' END", fmt.Sprintf("repeat('1', greatest(length(%s) - %d, 0))", text, n)
	switch {
	case n == 0:
		return fmt.Sprintf("concat(%s, repeat('1', length(%s)))", sign, text)
	case last:
		return fmt.Sprintf("concat(%s, %s, right(%s, %d))", sign, hidden, text, n)
	}
	return fmt.Sprintf("concat(%s, left(%s, %d), %s)", sign, text, n, hidden)
}

func isInteger(typeText string) bool {
	switch strings.ToLower(typeText) {
	case "tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long":
		return true
	}
	return false
}
