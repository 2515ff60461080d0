package sqlexpr

import "regexp"

// signature is a function that an expression may call: pure, and without effect on which rows fail. Which of them depend on the
// time zone of the session, [Expr.ByTimeZone] says.
type signature struct {
	parameters []Kind // Null takes any kind, the same for all that are Null
	optional   int    // how many of the last parameters may be left out
	variadic   bool   // the last parameter may be repeated
	returns    Kind   // Null: that of the parameters that take any
	literal    []int  // which parameters must be literals: patterns, units and indexes that could make a query fail
}

// functions are those that expressions may call. Source: the list in the specification of filters.
var functions = map[string]signature{
	"lower":          {parameters: []Kind{String}, returns: String},
	"upper":          {parameters: []Kind{String}, returns: String},
	"trim":           {parameters: []Kind{String}, returns: String},
	"ltrim":          {parameters: []Kind{String}, returns: String},
	"rtrim":          {parameters: []Kind{String}, returns: String},
	"substr":         {parameters: []Kind{String, Number, Number}, optional: 1, returns: String},
	"substring":      {parameters: []Kind{String, Number, Number}, optional: 1, returns: String},
	"left":           {parameters: []Kind{String, Number}, returns: String},
	"right":          {parameters: []Kind{String, Number}, returns: String},
	"length":         {parameters: []Kind{String}, returns: Number},
	"char_length":    {parameters: []Kind{String}, returns: Number},
	"concat":         {parameters: []Kind{String}, variadic: true, returns: String},
	"coalesce":       {parameters: []Kind{Null}, variadic: true, returns: Null},
	"nvl":            {parameters: []Kind{Null, Null}, returns: Null},
	"ifnull":         {parameters: []Kind{Null, Null}, returns: Null},
	"if":             {parameters: []Kind{Bool, Null, Null}, returns: Null},
	"year":           {parameters: []Kind{Date}, returns: Number},
	"month":          {parameters: []Kind{Date}, returns: Number},
	"day":            {parameters: []Kind{Date}, returns: Number},
	"date_trunc":     {parameters: []Kind{String, Date}, returns: Timestamp, literal: []int{0}},
	"datediff":       {parameters: []Kind{Date, Date}, returns: Number},
	"date_add":       {parameters: []Kind{Date, Number}, returns: Date, literal: []int{1}},
	"date_sub":       {parameters: []Kind{Date, Number}, returns: Date, literal: []int{1}},
	"add_months":     {parameters: []Kind{Date, Number}, returns: Date, literal: []int{1}},
	"regexp_replace": {parameters: []Kind{String, String, String}, returns: String, literal: []int{1, 2}},
	"split_part":     {parameters: []Kind{String, String, Number}, returns: String, literal: []int{2}},
	"abs":            {parameters: []Kind{Number}, returns: Number},
	"round":          {parameters: []Kind{Number, Number}, optional: 1, returns: Number, literal: []int{1}},
}

// maskFunctions are those that the expression of a mask may call besides.
var maskFunctions = map[string]signature{
	"mask":     {parameters: []Kind{String, String, String, String, String}, optional: 4, returns: String, literal: []int{1, 2, 3, 4}},
	"sha2":     {parameters: []Kind{String, Number}, returns: String, literal: []int{1}},
	"sha1":     {parameters: []Kind{String}, returns: String},
	"md5":      {parameters: []Kind{String}, returns: String},
	"repeat":   {parameters: []Kind{String, Number}, returns: String, literal: []int{0}},
	"replace":  {parameters: []Kind{String, String, String}, returns: String, literal: []int{1, 2}},
	"greatest": {parameters: []Kind{Number}, variadic: true, returns: Number},
	"least":    {parameters: []Kind{Number}, variadic: true, returns: Number},
	"lpad":     {parameters: []Kind{String, Number, String}, returns: String, literal: []int{1, 2}},
	"rpad":     {parameters: []Kind{String, Number, String}, returns: String, literal: []int{1, 2}},
}

const (
	bySession = "who reads the table sets what it returns, by the settings of their session"
	random    = "it returns something else each time, so that who asks often enough sees every row or value"
)

// refusedFunctions says why well-known functions are refused, for those who wonder.
var refusedFunctions = map[string]string{
	"is_member":               "it also sees groups of the workspace, which policies do not know; name the group in the policy item",
	"is_account_group_member": "a group that is renamed would fail open; name the group in the policy item",
	"unix_timestamp":          "with an argument, what it returns depends on the time zone of the session",
	"from_unixtime":           "what it returns depends on the time zone of the session",
	"now":                     "only without an argument is it known to be safe", "current_date": "only without an argument is it known to be safe", "current_timestamp": "only without an argument is it known to be safe", "curdate": "only without an argument is it known to be safe", "getdate": "only without an argument is it known to be safe",
	"localtimestamp": bySession + "; write now()", "current_timezone": bySession,
	"current_catalog": bySession, "current_database": bySession, "current_schema": bySession,
	"rand": random, "random": random, "randn": random, "randstr": random, "uniform": random, "uuid": random, "shuffle": random,
	"monotonically_increasing_id": random, "spark_partition_id": random,
	"exists": "subqueries are not allowed", "count": "aggregates are not allowed", "sum": "aggregates are not allowed",
	"min": "aggregates are not allowed", "max": "aggregates are not allowed", "avg": "aggregates are not allowed",
}

var (
	dateText      = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	timestampText = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$`)
	wholeNumber   = regexp.MustCompile(`^\d+$`)
	decimalType   = regexp.MustCompile(`^(\d{1,2})(,(\d{1,2}))?$`)
)

// scalarTypes are the types that an expression may convert to.
var scalarTypes = map[string]Kind{
	"STRING": String, "BOOLEAN": Bool, "TINYINT": Number, "SMALLINT": Number, "INT": Number, "INTEGER": Number, "BIGINT": Number,
	"FLOAT": Number, "DOUBLE": Number, "DATE": Date, "TIMESTAMP": Timestamp,
}

// dateUnits are those that date_trunc takes.
var dateUnits = map[string]bool{"YEAR": true, "QUARTER": true, "MONTH": true, "WEEK": true, "DAY": true}
