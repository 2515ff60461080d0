package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/delta"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Result is what became of a suite of policy tests.
type Result struct {
	Name   string `json:"name"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	Cases  []Case `json:"cases"`
	// Warnings names the fields of the suite's policies that have no meaning.
	Warnings []string `json:"warnings,omitempty"`
}

// Case is what became of one test.
type Case struct {
	Name     string `json:"name"`
	Passed   bool   `json:"passed"`
	Problem  string `json:"problem,omitempty"`  // what was wanted and what came instead
	Decision string `json:"decision,omitempty"` // the deciding policy and why
}

func (r *Result) add(c Case) {
	if c.Passed {
		r.Passed++
	} else {
		r.Failed++
	}
	r.Cases = append(r.Cases, c)
}

// Run runs a suite in either of Apache Ranger's two formats: tests of the policy engine (an object with policies,
// tests, and optionally updatedPolicies and updatedTests), or of the ACL view (an object with testCases). The suite's
// serviceDef may be left out for the built-in one.
//
// A suite's policies are not verified: Ranger's own name access types that do not exist. As in Ranger, the policy id
// that a test states is compared for masks and row filters only, and isAudited is not looked at. Unknown fields of its
// policies are warnings, since some of Ranger's suites have them. An error, of class CodeInvalid, means that the suite
// could not be run: a misspelt field of the suite itself, or of a test, is one.
func Run(data []byte, name string, o Options) (Result, error) {
	var shape struct {
		TestCases json.RawMessage `json:"testCases"`
		Tests     json.RawMessage `json:"tests"`
	}
	if err := parse.Decode(data, name, &shape); err != nil {
		return Result{}, err
	}
	run := suiteRun{Result: Result{Name: name}, Options: o}
	var err error
	switch {
	case shape.TestCases != nil:
		err = run.aclSuite(data)
	case shape.Tests != nil:
		err = run.engineSuite(data)
	default:
		err = policy.Errorf(policy.CodeInvalid, "%s: no suite of policy tests: it has neither tests nor testCases", name)
	}
	return run.Result, err
}

// Options says what suites are run with.
type Options struct {
	Now     time.Time                         // the time of access of requests that name none
	File    func(name string) ([]byte, error) // reads a file that a suite mentions by base name, such as the tags of resources; may be nil
	Scripts match.ScriptCompiler              // nil: conditions written as scripts cannot be judged
	// Call returns what a SQL function returns in a session for arguments as texts, nil for NULL; nil: no tableResult can be judged.
	Call func(f policy.SQLFunction, s Session, arguments []*string) (*string, error)
}

type suiteRun struct {
	Result
	Options
}

type engineSuite struct {
	ServiceName   string                          `json:"serviceName"`
	ServiceDef    *ranger.ServiceDef              `json:"serviceDef"`
	Policies      []ranger.Policy                 `json:"policies"`
	SecurityZones map[string]*ranger.SecurityZone `json:"securityZones"`
	ServiceConfig map[string]string               `json:"serviceConfig"`
	TagPolicyInfo *struct {
		ServiceName   string             `json:"serviceName"`
		ServiceDef    *ranger.ServiceDef `json:"serviceDef"`
		ServiceConfig map[string]string  `json:"serviceConfig"`
		TagPolicies   []ranger.Policy    `json:"tagPolicies"`
	} `json:"tagPolicyInfo"`
	UserRoles       map[string][]string     `json:"userRoles"`  // user to roles
	GroupRoles      map[string][]string     `json:"groupRoles"` // group to roles
	RoleRoles       map[string][]string     `json:"roleRoles"`  // role to the roles it is a member of
	SuperUsers      []string                `json:"superUsers"`
	SuperGroups     []string                `json:"superGroups"`
	Tests           []engineTest            `json:"tests"`
	UpdatedPolicies *ranger.ServicePolicies `json:"updatedPolicies"`
	UpdatedTests    []engineTest            `json:"updatedTests"`
	Original        any                     `json:"original-serviceDef"` // a note in one of Ranger's suites
}

type engineTest struct {
	Name            string                       `json:"name"`
	Request         *suiteRequest                `json:"request"`
	Result          *suiteResult                 `json:"result"`
	DataMaskResult  *suiteResult                 `json:"dataMaskResult"`
	RowFilterResult *suiteResult                 `json:"rowFilterResult"`
	ResourceAccess  *suiteAccess                 `json:"resourceAccessInfo"`
	TableResult     *suiteTable                  `json:"tableResult"` // not of Ranger's format
	UserAttributes  map[string]map[string]string `json:"userAttributes"`
	GroupAttributes map[string]map[string]string `json:"groupAttributes"`
}

type suiteResult struct {
	IsAllowed      *bool           `json:"isAllowed"`
	IsAudited      any             `json:"isAudited"` // not looked at
	PolicyID       *int64          `json:"policyId"`
	AdditionalInfo *suiteExtraInfo `json:"additionalInfo"`
	suiteExtraInfo                 // where older suites have it
}

type suiteExtraInfo struct {
	MaskType      string `json:"maskType"`
	MaskCondition string `json:"maskCondition"`
	MaskedValue   string `json:"maskedValue"`
	FilterExpr    string `json:"filterExpr"`
	MaskValue     any    `json:"maskValue"` // of Ranger's suites, which do not look at it either
}

// mask writes a mask for people.
func (i suiteExtraInfo) mask() string {
	return fmt.Sprintf("%+v", ranger.DataMaskInfo{DataMaskType: i.MaskType, ConditionExpr: i.MaskCondition, ValueExpr: i.MaskedValue})
}

func (r *suiteResult) info() suiteExtraInfo {
	if r.AdditionalInfo != nil {
		return *r.AdditionalInfo
	}
	return r.suiteExtraInfo
}

// policyID is the id a test states, -1 (none) when it states none.
func (r *suiteResult) policyID() int64 {
	if r.PolicyID == nil {
		return -1
	}
	return *r.PolicyID
}

type suiteAccess struct {
	AllowedUsers  []string `json:"allowedUsers"`
	AllowedGroups []string `json:"allowedGroups"`
	DeniedUsers   []string `json:"deniedUsers"`
	DeniedGroups  []string `json:"deniedGroups"`
}

func (run *suiteRun) engineSuite(data []byte) error {
	var suite engineSuite
	if err := run.decode(data, &suite); err != nil {
		return err
	}
	policies := suite.servicePolicies()
	roles := suite.roles()
	evaluator, err := run.evaluator(policies, roles)
	if err != nil {
		return err
	}
	run.engineTests(evaluator, suite.Tests)
	if suite.UpdatedPolicies == nil {
		return nil
	}
	updated, err := delta.Apply(policies, suite.UpdatedPolicies)
	if err != nil {
		return policy.Errorf(policy.CodeInvalid, "%s: updatedPolicies: %w", run.Name, err)
	}
	if evaluator, err = run.evaluator(updated, roles); err != nil {
		return err
	}
	run.engineTests(evaluator, suite.UpdatedTests)
	return nil
}

func (s *engineSuite) servicePolicies() *ranger.ServicePolicies {
	p := &ranger.ServicePolicies{ServiceName: s.ServiceName, ServiceDef: s.ServiceDef, Policies: s.Policies, SecurityZones: s.SecurityZones}
	p.ServiceConfig = make(map[string]string)
	for k, v := range s.ServiceConfig {
		p.ServiceConfig[k] = v
	}
	for key, names := range map[string][]string{"ranger.plugin.super.users": s.SuperUsers, "ranger.plugin.super.groups": s.SuperGroups} {
		if len(names) > 0 {
			p.ServiceConfig[key] = strings.Trim(p.ServiceConfig[key]+","+strings.Join(names, ","), ",")
		}
	}
	if t := s.TagPolicyInfo; t != nil {
		p.TagPolicies = &ranger.TagPolicies{ServiceName: t.ServiceName, ServiceDef: t.ServiceDef, ServiceConfig: t.ServiceConfig, Policies: t.TagPolicies}
	}
	return p
}

func (s *engineSuite) roles() *ranger.ServiceRoles {
	byName := make(map[string]*ranger.Role)
	role := func(name string) *ranger.Role {
		if byName[name] == nil {
			byName[name] = &ranger.Role{Name: name}
		}
		return byName[name]
	}
	for user, names := range s.UserRoles {
		for _, name := range names {
			role(name).Users = append(role(name).Users, ranger.RoleMember{Name: user})
		}
	}
	for group, names := range s.GroupRoles {
		for _, name := range names {
			role(name).Groups = append(role(name).Groups, ranger.RoleMember{Name: group})
		}
	}
	for member, names := range s.RoleRoles {
		for _, name := range names {
			role(name).Roles = append(role(name).Roles, ranger.RoleMember{Name: member})
		}
	}
	roles := &ranger.ServiceRoles{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		roles.RangerRoles = append(roles.RangerRoles, *byName[name])
	}
	return roles
}

// evaluator prepares a suite's policies, with the tags of the file that the service definition's tag enricher names.
func (run *suiteRun) evaluator(p *ranger.ServicePolicies, roles *ranger.ServiceRoles) (*evaluate.Evaluator, error) {
	input := ranger.SnapshotInput{Policies: p, Roles: roles}
	for _, def := range []*ranger.ServiceDef{p.ServiceDef, tagServiceDef(p)} {
		if def == nil {
			continue
		}
		for _, enricher := range def.ContextEnrichers {
			file := enricher.EnricherOptions["serviceTagsFileName"]
			if file == "" {
				continue
			}
			if run.File == nil {
				return nil, policy.Errorf(policy.CodeInvalid, "%s: the tags of resources are in %s, which cannot be read here", run.Name, file)
			}
			data, err := run.File(path.Base(file))
			if err != nil {
				return nil, policy.Errorf(policy.CodeInvalid, "%s: read the tags of resources: %w", run.Name, err)
			}
			if input.Tags, err = parse.Tags(data, path.Base(file)); err != nil {
				return nil, err
			}
		}
	}
	rs, err := rules.New(ranger.UnverifiedSnapshot(input), rules.Options{Scripts: run.Scripts})
	if err != nil {
		return nil, err
	}
	return evaluate.New(rs), nil
}

func tagServiceDef(s *ranger.ServicePolicies) *ranger.ServiceDef {
	if s.TagPolicies == nil {
		return nil
	}
	return s.TagPolicies.ServiceDef
}

func (run *suiteRun) engineTests(e *evaluate.Evaluator, tests []engineTest) {
	for i := range tests {
		t := &tests[i]
		if problem := t.problem(); problem != "" {
			run.add(Case{Name: t.Name, Problem: problem})
			continue
		}
		request, err := t.Request.request(run.Now)
		if err != nil {
			run.add(Case{Name: t.Name, Problem: err.Error()})
			continue
		}
		if t.UserAttributes != nil || t.GroupAttributes != nil {
			request.Users = &ranger.UserStore{UserAttrMapping: t.UserAttributes, GroupAttrMapping: t.GroupAttributes}
		}
		run.add(t.run(e, request, run.Options))
	}
}

// run evaluates the request and compares with everything the test states.
func (t *engineTest) run(e *evaluate.Evaluator, request evaluate.Request, o Options) Case {
	var problems, decisions []string
	if t.Result != nil {
		d := e.Evaluate(request)
		decisions = append(decisions, d.String())
		if want := *t.Result.IsAllowed; d.Allowed() != want {
			problems = append(problems, fmt.Sprintf("want %s, got %s", allowedText(want), d.Outcome))
		}
	}
	if t.DataMaskResult != nil {
		d := e.EvaluateDataMask(request)
		decisions = append(decisions, "mask: "+d.String())
		var got suiteExtraInfo
		want := t.DataMaskResult.info()
		want.FilterExpr, want.MaskValue = "", nil
		if d.Mask != nil {
			got = suiteExtraInfo{MaskType: d.Mask.DataMaskType, MaskCondition: d.Mask.ConditionExpr, MaskedValue: d.Mask.ValueExpr}
		}
		if got != want || d.PolicyID() != t.DataMaskResult.policyID() {
			problems = append(problems, fmt.Sprintf("want mask %s of policy %d, got %s of policy %d", want.mask(), t.DataMaskResult.policyID(), got.mask(), d.PolicyID()))
		}
	}
	if t.RowFilterResult != nil {
		d := e.EvaluateRowFilter(request)
		decisions = append(decisions, "row filter: "+d.String())
		got, want := "", t.RowFilterResult.info().FilterExpr
		if d.Filter != nil {
			got = d.Filter.FilterExpr
		}
		if got != want || d.PolicyID() != t.RowFilterResult.policyID() {
			problems = append(problems, fmt.Sprintf("want row filter %q of policy %d, got %q of policy %d", want, t.RowFilterResult.policyID(), got, d.PolicyID()))
		}
	}
	if t.TableResult != nil {
		problem, decision := t.TableResult.run(e, request, o)
		if problem != "" {
			problems = append(problems, problem)
		}
		if decision != "" {
			decisions = append(decisions, decision)
		}
	}
	if t.ResourceAccess != nil {
		problems = append(problems, t.ResourceAccess.compare(e.ResourceAccess(request))...)
	}
	return Case{Name: t.Name, Passed: len(problems) == 0, Problem: strings.Join(problems, "; "), Decision: strings.Join(decisions, "; ")}
}

func allowedText(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "not allowed"
}

func (a *suiteAccess) compare(got evaluate.ResourceAccess) []string {
	var problems []string
	for _, c := range []struct {
		what      string
		want, got []string
	}{
		{"allowed users", a.AllowedUsers, got.AllowedUsers}, {"allowed groups", a.AllowedGroups, got.AllowedGroups},
		{"denied users", a.DeniedUsers, got.DeniedUsers}, {"denied groups", a.DeniedGroups, got.DeniedGroups},
	} {
		want := slices.Sorted(slices.Values(c.want))
		if want = slices.Compact(want); !slices.Equal(want, c.got) {
			problems = append(problems, fmt.Sprintf("want %s %q, got %q", c.what, want, c.got))
		}
	}
	return problems
}

// suiteTime reads the times of suites: "yyyyMMdd-HH:mm:ss.SSS-Z", or epoch milliseconds.
func suiteTime(raw json.RawMessage) (time.Time, error) {
	var millis int64
	if json.Unmarshal(raw, &millis) == nil {
		return time.UnixMilli(millis).UTC(), nil
	}
	text := string(bytes.Trim(raw, `"`))
	for _, layout := range []string{"20060102-15:04:05.000--0700", "20060102-15:04:05.000-0700", "20060102-15:04:05--0700", "20060102-15:04:05-0700", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("accessTime: %s is no time of the form yyyyMMdd-HH:mm:ss.SSS-Z", text)
}
