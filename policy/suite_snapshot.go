package policy

import "time"

// RunSnapshotSuite runs tests of the policy engine on the policies of s instead of policies of their own: the suite has
// tests only (see [RunSuite]). A request that names no userGroups has those of the user store. An error, of class
// CodeInvalid, means that the suite could not be run.
func RunSnapshotSuite(s *Snapshot, data []byte, name string, now time.Time) (SuiteResult, error) {
	var suite struct {
		Tests []engineTest `json:"tests"`
	}
	if err := decode(data, name, &suite); err != nil {
		return SuiteResult{}, err
	}
	e, err := NewEvaluator(s)
	if err != nil {
		return SuiteResult{}, err
	}
	run := suiteRun{SuiteResult: SuiteResult{Name: name}, now: now}
	for i := range suite.Tests {
		t := &suite.Tests[i]
		if t.Request == nil {
			continue
		}
		request, err := t.Request.request(now)
		if err != nil {
			run.add(CaseResult{Name: t.Name, Problem: err.Error()})
			continue
		}
		if t.Request.UserGroups == nil {
			request.Groups = nil
		}
		if t.UserAttributes != nil || t.GroupAttributes != nil {
			request.Users = &UserStore{UserAttrMapping: t.UserAttributes, GroupAttrMapping: t.GroupAttributes}
			if t.Request.UserGroups == nil {
				request.Groups, _ = s.Users.GroupsOf(request.User)
			}
		}
		run.add(t.run(e, request))
	}
	return run.SuiteResult, nil
}
