package suite

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// decode reads a suite. A field of the suite itself, of a test or of a policy that is near a known one is an error, because
// the tests would pass without it; so is one of another part of Ranger's model that is misspelt. Other unknown fields are
// warnings.
func (run *suiteRun) decode(data []byte, into any) error {
	unknown, err := parse.UnknownFields(data, run.Name, into)
	if err != nil {
		return err
	}
	if err := parse.Decode(data, run.Name, into); err != nil {
		return err
	}
	var model []ranger.UnknownField
	for _, u := range unknown {
		switch {
		case u.InPolicy && u.Nearest != "":
			return policy.Errorf(policy.CodeInvalid, "%s: %s", run.Name, u)
		case u.Fault: // by what its name says
			run.Warnings = append(run.Warnings, fmt.Sprintf("%s: %s", run.Name, u))
		case !isOwnField(u.Path):
			model = append(model, u)
		case u.Nearest != "":
			return policy.Errorf(policy.CodeInvalid, "%s: %s: a suite has no such field; did you mean %s?", run.Name, u.Path, u.Nearest)
		default:
			run.Warnings = append(run.Warnings, fmt.Sprintf("%s: %s: a suite has no such field; it has no effect", run.Name, u.Path))
		}
	}
	if err := parse.CheckFields(model, run.Name); err != nil {
		return err
	}
	for _, p := range parse.ProblemsOf(model, run.Name, policy.EffectNone) {
		where := ""
		if p.PolicyID != 0 || p.Policy != "" {
			where = fmt.Sprintf("policy %d %q: ", p.PolicyID, p.Policy)
		}
		run.Warnings = append(run.Warnings, fmt.Sprintf("%s: %s%s: it %s", run.Name, where, p.Field, p.Message))
	}
	return nil
}

var inTestCase = regexp.MustCompile(`^testCases\[\d+\]\.`)

// isOwnField reports whether the field at path is one of the suite format, and not of Ranger's model.
func isOwnField(path string) bool {
	path = inTestCase.ReplaceAllLiteralString(path, "")
	first, _, deeper := strings.Cut(path, ".")
	first, _, _ = strings.Cut(first, "[")
	return !deeper || slices.Contains([]string{"tests", "updatedTests"}, first)
}

// problem returns why the test cannot be run, or cannot fail; "" when it can.
func (t *engineTest) problem() string {
	switch {
	case t.Request == nil:
		return "it has no request, so there is nothing to decide"
	case t.Result == nil && t.DataMaskResult == nil && t.RowFilterResult == nil && t.ResourceAccess == nil && t.TableResult == nil:
		return "it expects nothing, so it cannot fail; state result, dataMaskResult, rowFilterResult, tableResult or resourceAccessInfo"
	case t.Result != nil && t.Result.IsAllowed == nil:
		return "its result does not say isAllowed; state true or false"
	case t.TableResult != nil:
		return t.TableResult.problem()
	}
	return ""
}
