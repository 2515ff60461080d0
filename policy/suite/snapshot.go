package suite

import (
	"ucwarden/policy/evaluate"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// RunOn runs tests of the policy engine on the policies of a rule set instead of policies of their own: the suite has
// tests only (see [Run]). A request that names no userGroups has those of the user store. An error, of class
// CodeInvalid, means that the suite could not be run.
func RunOn(rs *rules.RuleSet, data []byte, name string, o Options) (Result, error) {
	var suite engineSuite
	run := suiteRun{Result: Result{Name: name}, Options: o}
	if err := run.decode(data, &suite); err != nil {
		return Result{}, err
	}
	e := evaluate.New(rs)
	for i := range suite.Tests {
		t := &suite.Tests[i]
		if problem := t.problem(); problem != "" {
			run.add(Case{Name: t.Name, Problem: problem})
			continue
		}
		request, err := t.Request.request(o.Now)
		if err != nil {
			run.add(Case{Name: t.Name, Problem: err.Error()})
			continue
		}
		if t.Request.UserGroups == nil {
			request.Groups = nil
		}
		if t.UserAttributes != nil || t.GroupAttributes != nil {
			request.Users = &ranger.UserStore{UserAttrMapping: t.UserAttributes, GroupAttrMapping: t.GroupAttributes}
			if t.Request.UserGroups == nil {
				request.Groups, _ = rs.Members.GroupNames(request.User)
			}
		}
		run.add(t.run(e, request, o))
	}
	return run.Result, nil
}
