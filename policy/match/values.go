package match

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"ucwarden/policy/ranger"
)

// Values are the values of one request that matchers, macros and conditions look at.
type Values struct {
	Resource   Resource // the levels asked for, in any order
	Owner      string   // of the resource
	AccessType string
	AnyAccess  bool // access of any type is asked for
	User       string
	Groups     []string
	Roles      func() []string   // every role the user holds, sorted; may be nil
	Users      *ranger.UserStore // attributes of users and groups; may be nil
	Time       time.Time         // of the access; the zero time ignores validity schedules
	Tags       []*Tag
	Tag        *Tag           // the one whose policy is evaluated; nil for policies on resources
	Context    map[string]any // attributes by name
	Together   []Resource     // resources accessed by the same statement
	ClientIP   string
	ClientType string
	Action     string
	Data       string // what is to be executed
}

// token looks up {NAME} in resource values.
func (v *Values) token(name string) (string, bool) {
	switch name {
	case "USER":
		return v.User, v.User != ""
	case "OWNER":
		return v.Owner, v.Owner != ""
	}
	value, ok := v.Context["token:"+name]
	if !ok || value == nil {
		return "", false
	}
	return TextOf(value), true
}

// TextOf writes a value of a request's context as a script does: a list by its elements with commas between them,
// nothing for null.
func TextOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		var text string
		for i, e := range v {
			if i > 0 {
				text += ","
			}
			text += TextOf(e)
		}
		return text
	case nil:
		return ""
	}
	return fmt.Sprint(value)
}

// Script is a compiled script of a condition or macro. Its methods return an error when it fails or runs too long: the
// condition is then unreadable, which allows nothing and denies always.
type Script interface {
	Met(v *Values) (Outcome, error) // as a condition
	Text(v *Values) (string, error) // as an expression in a resource value, mask or filter; "" where it has no value
}

// Outcome is what one run of a script as a condition comes to.
type Outcome struct {
	Met  bool
	From OutcomeFrom
	// Value is the value of the last expression, as short text, where that is neither true nor false.
	Value string
}

// OutcomeFrom says what an outcome is taken from.
type OutcomeFrom uint8

// What outcomes are taken from.
const (
	FromValue     OutcomeFrom = iota // the value of the last expression, which is true or false
	FromResult                       // ctx.result, which the script sets; the last expression has no value
	FromNothing                      // neither: the condition is not met
	FromOtherType                    // ctx.result, set or not, since the value is neither true nor false
	FromOverruled                    // the value, although ctx.result is set to the opposite
)

// ErrScriptNotRun is what the error of a script says that was not run, because too many others had to be ended.
var ErrScriptNotRun = errors.New("not run")

// ErrScriptBounds is what the error of a script says that was ended because it takes too much time or memory.
var ErrScriptBounds = errors.New("ended at a bound")

// ErrScriptUndefined is what the error of a script says that uses a name which nothing defines, whatever is asked for.
var ErrScriptUndefined = errors.New("a name is not defined")

// ScriptCompiler compiles the source of a script. It is handed in, because scripts decide no grant: only what tests,
// explains or checks policies runs them.
type ScriptCompiler func(source string) (Script, error)
