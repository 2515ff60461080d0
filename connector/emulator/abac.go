package emulator

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
)

// abacPolicy is a policy on a catalog, schema or table: a row filter, a column mask or a grant for what is in it, and of
// what it is tagged as. The emulator keeps policies; it has no data for them to filter.
type abacPolicy struct {
	Name             string          `json:"name"`
	ID               string          `json:"id"`
	Comment          string          `json:"comment,omitempty"`
	PolicyType       string          `json:"policy_type"`
	OnSecurableType  string          `json:"on_securable_type"`
	OnSecurableName  string          `json:"on_securable_fullname"` // of input; rendered from the object
	ForSecurableType string          `json:"for_securable_type"`
	ToPrincipals     []string        `json:"to_principals"`
	ExceptPrincipals []string        `json:"except_principals,omitempty"`
	WhenCondition    string          `json:"when_condition,omitempty"`
	MatchColumns     []matchColumn   `json:"match_columns,omitempty"`
	RowFilter        *rowFilterRule  `json:"row_filter,omitempty"`
	ColumnMask       *columnMaskRule `json:"column_mask,omitempty"`
	Grant            *grantRule      `json:"grant,omitempty"`
	CreatedAt        int64           `json:"created_at"`
	CreatedBy        string          `json:"created_by"`
	UpdatedAt        int64           `json:"updated_at"`
	UpdatedBy        string          `json:"updated_by"`
}

type matchColumn struct {
	Alias     string `json:"alias,omitempty"`
	Condition string `json:"condition,omitempty"`
}

// functionArgument is a matched column, by its alias, or a constant.
type functionArgument struct {
	Alias    string `json:"alias,omitempty"`
	Constant string `json:"constant,omitempty"`
}

type rowFilterRule struct {
	FunctionName string             `json:"function_name"`
	Using        []functionArgument `json:"using,omitempty"`
}

type columnMaskRule struct {
	FunctionName string             `json:"function_name"`
	OnColumn     string             `json:"on_column"` // an alias
	Using        []functionArgument `json:"using,omitempty"`
}

type grantRule struct {
	Privileges []string `json:"privileges"`
}

// Bounds of policies: principals in one, columns that one matches, and policies on one object.
const (
	maxPolicyPrincipals = 20
	maxMaskColumns      = 3
	maxFilterColumns    = 6
)

var maxPolicies = map[securableType]int{typeCatalog: 100, typeSchema: 100, typeTable: 50}

// policyFields are the fields of a policy. Where a policy is cannot be changed.
var policyFields = fields{
	"name": "R/O", "comment": "O/O", "policy_type": "R/O", "on_securable_type": "R/I", "on_securable_fullname": "R/I",
	"for_securable_type": "R/O", "to_principals": "R/O", "except_principals": "O/O", "when_condition": "O/O",
	"match_columns": "O/O", "row_filter": "O/O", "column_mask": "O/O", "grant": "O/O",
}

func (s *Server) registerPolicies() {
	base := prefix + "/policies"
	who := managesPolicies.String()
	s.route("POST "+base, managesPolicies.in("the object that it is on"), s.createPolicy)
	s.route("GET "+base+"/{type}/{name}", who, s.listPolicies)
	s.route("GET "+base+"/{type}/{name}/{policy}", who, s.getPolicy)
	s.route("PATCH "+base+"/{type}/{name}/{policy}", who, s.updatePolicy)
	s.route("DELETE "+base+"/{type}/{name}/{policy}", who, s.deletePolicy)
}

// findPolicyHolder returns the object that policies are on, if the caller may manage them.
func (s *Server) findPolicyHolder(c *call, typ, name string) (*object, error) {
	paths := map[string]string{"CATALOG": "catalogs", "SCHEMA": "schemas", "TABLE": "tables"}
	path, ok := paths[strings.ToUpper(typ)]
	if !ok {
		return nil, invalid("on_securable_type '%s' is not one of CATALOG, SCHEMA, TABLE.", typ)
	}
	o, err := s.find(s.resources[path], name)
	if err != nil {
		return nil, err
	}
	if !managesPolicies.is(c, o) {
		return nil, denied("User may not manage policies on %s '%s': this takes %s.", displayLabel(o.res.label), o.fullName(), managesPolicies)
	}
	return o, nil
}

// findPolicy returns the policy that the path names, and the object that it is on.
func (s *Server) findPolicy(c *call) (*object, *abacPolicy, error) {
	o, err := s.findPolicyHolder(c, c.req.PathValue("type"), c.req.PathValue("name"))
	if err != nil {
		return nil, nil, err
	}
	name := c.req.PathValue("policy")
	if p := o.policies[canonicalName(name)]; p != nil {
		return o, p, nil
	}
	return nil, nil, notFound("POLICY", name)
}

// shown returns the policy as answers show it.
func (p *abacPolicy) shown(o *object) *abacPolicy {
	out := *p
	out.OnSecurableType, out.OnSecurableName = string(o.res.typ), o.fullName()
	return &out
}

func (s *Server) createPolicy(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	picked, err := policyFields.pick(body, false)
	if err != nil {
		return nil, err
	}
	var p abacPolicy
	if err := decode(picked, &p); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.findPolicyHolder(c, p.OnSecurableType, p.OnSecurableName)
	if err == nil {
		err = s.checkPolicy(c, &p)
	}
	if err != nil {
		return nil, err
	}
	if o.policies[p.Name] != nil {
		return nil, alreadyExists("POLICY", p.Name)
	}
	if most := maxPolicies[o.res.typ]; len(o.policies) == most {
		return nil, invalid("'%s' has %d policies, which is as many as there may be.", o.fullName(), most)
	}
	s.lastID++
	p.ID, p.CreatedAt, p.CreatedBy = uuid(0xabac, s.lastID), s.nowMillis(), c.who.name
	p.UpdatedAt, p.UpdatedBy = p.CreatedAt, p.CreatedBy
	if o.policies == nil {
		o.policies = make(map[string]*abacPolicy)
	}
	o.policies[p.Name] = &p
	return p.shown(o), nil
}

// checkPolicy checks a policy, and puts its name into lower case.
func (s *Server) checkPolicy(c *call, p *abacPolicy) (err error) {
	if p.Name, err = checkName(p.Name); err != nil {
		return err
	}
	if len(p.ToPrincipals) == 0 {
		return invalid("to_principals must not be empty.")
	}
	if n := len(p.ToPrincipals) + len(p.ExceptPrincipals); n > maxPolicyPrincipals {
		return invalid("a policy names at most %d principals, not %d.", maxPolicyPrincipals, n)
	}
	for _, name := range slices.Concat(p.ToPrincipals, p.ExceptPrincipals) {
		if s.directory.find(name) == nil {
			return principalNotFound(name)
		}
	}
	if p.ForSecurableType = strings.ToUpper(p.ForSecurableType); len(p.MatchColumns) > 0 && p.ForSecurableType != string(typeTable) {
		return invalid("match_columns is only for for_securable_type TABLE.")
	}
	for _, m := range p.MatchColumns {
		if m.Condition == "" {
			return invalid("every one of match_columns needs a condition.")
		}
	}
	return p.checkOptions(c)
}

// checkOptions returns an error unless the policy has the options of its type, and no others. Types that are newer than the
// emulator are kept, without options.
func (p *abacPolicy) checkOptions(c *call) error {
	given := map[string]bool{"row_filter": p.RowFilter != nil, "column_mask": p.ColumnMask != nil, "grant": p.Grant != nil}
	wanted := map[string]string{"POLICY_TYPE_ROW_FILTER": "row_filter", "POLICY_TYPE_COLUMN_MASK": "column_mask", "POLICY_TYPE_GRANT": "grant"}[p.PolicyType]
	if !strings.HasPrefix(p.PolicyType, "POLICY_TYPE_") {
		return invalid("policy_type '%s' is not one of POLICY_TYPE_ROW_FILTER, POLICY_TYPE_COLUMN_MASK, POLICY_TYPE_GRANT.", p.PolicyType)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if given[name] != (name == wanted) {
			return invalid("%s is not as a policy of type %s has it: that has '%s' of row_filter, column_mask and grant.", name, p.PolicyType, wanted)
		}
	}
	switch {
	case p.RowFilter != nil && len(p.MatchColumns) > maxFilterColumns, p.ColumnMask != nil && len(p.MatchColumns) > maxMaskColumns:
		return invalid("match_columns holds more than %d columns of a row filter, or %d of a mask.", maxFilterColumns, maxMaskColumns)
	case p.RowFilter != nil:
		return p.checkFunction(c, "row_filter", p.RowFilter.FunctionName, p.RowFilter.Using)
	case p.ColumnMask != nil && !p.matches(p.ColumnMask.OnColumn):
		return invalid("column_mask.on_column '%s' is no alias of match_columns.", p.ColumnMask.OnColumn)
	case p.ColumnMask != nil:
		return p.checkFunction(c, "column_mask", p.ColumnMask.FunctionName, p.ColumnMask.Using)
	case p.Grant != nil && len(p.Grant.Privileges) == 0:
		return invalid("grant.privileges must not be empty.")
	}
	return nil
}

func (p *abacPolicy) matches(alias string) bool {
	return alias != "" && slices.ContainsFunc(p.MatchColumns, func(m matchColumn) bool { return m.Alias == alias })
}

// checkFunction checks what a policy calls: a function that the caller may execute, with columns that the policy matches.
func (p *abacPolicy) checkFunction(c *call, field, name string, using []functionArgument) error {
	function, err := c.srv.find(c.srv.resources["functions"], name)
	if err != nil {
		return err
	}
	if !executes.is(c, function) {
		return denied("User may not call Function '%s' in a policy: this takes %s.", function.fullName(), executes)
	}
	for _, argument := range using {
		switch {
		case (argument.Alias == "") == (argument.Constant == ""):
			return invalid("every one of %s.using is an alias or a constant.", field)
		case argument.Alias != "" && !p.matches(argument.Alias):
			return invalid("%s.using '%s' is no alias of match_columns.", field, argument.Alias)
		}
	}
	return nil
}

func (s *Server) getPolicy(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, p, err := s.findPolicy(c)
	if err != nil {
		return nil, err
	}
	return p.shown(o), nil
}

// updatePolicy changes the fields that the mask names; one of them that is absent from the body is cleared. Without a mask,
// or with "*", it changes what the body has.
func (s *Server) updatePolicy(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	picked, cleared, err := masked(body, c.req.URL.Query().Get("update_mask"))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, old, err := s.findPolicy(c)
	if err != nil {
		return nil, err
	}
	next, err := old.changed(picked, cleared)
	if err == nil {
		err = s.checkPolicy(c, &next)
	}
	if err != nil {
		return nil, err
	}
	if next.Name != old.Name && o.policies[next.Name] != nil {
		return nil, alreadyExists("POLICY", next.Name)
	}
	next.UpdatedAt, next.UpdatedBy = s.nowMillis(), c.who.name
	delete(o.policies, old.Name)
	o.policies[next.Name] = &next
	return next.shown(o), nil
}

// masked returns the fields of the body that an update changes, and those that it clears.
func masked(body map[string]json.RawMessage, mask string) (picked, cleared map[string]json.RawMessage, err error) {
	picked, cleared = make(map[string]json.RawMessage), make(map[string]json.RawMessage)
	if mask == "" || mask == "*" {
		for name, raw := range body {
			if marks := policyFields[name]; marks != "" && marks[2] == 'O' && string(raw) != "null" {
				picked[name] = raw
			}
		}
		return picked, cleared, nil
	}
	for name := range strings.SplitSeq(mask, ",") {
		if marks := policyFields[name]; marks == "" || marks[2] != 'O' {
			return nil, nil, invalid("update_mask names '%s', which is no field that can be changed.", name)
		}
		if raw, given := body[name]; given && string(raw) != "null" {
			picked[name] = raw
		} else {
			cleared[name] = json.RawMessage("null")
		}
	}
	return picked, cleared, nil
}

// changed returns the policy with other fields. Options are replaced whole.
func (p *abacPolicy) changed(picked, cleared map[string]json.RawMessage) (next abacPolicy, err error) {
	own, err := json.Marshal(p)
	if err != nil {
		return next, err
	}
	all, err := jsonObject(own)
	if err != nil {
		return next, err
	}
	maps.Copy(all, picked)
	for name := range cleared {
		delete(all, name)
	}
	merged, err := json.Marshal(all)
	if err != nil {
		return next, err
	}
	return next, decode(merged, &next)
}

func (s *Server) deletePolicy(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, p, err := s.findPolicy(c)
	if err != nil {
		return nil, err
	}
	delete(o.policies, p.Name)
	return nil, nil
}

// listPolicies lists the policies on an object, by name, and, if the query says so, those on what it is in.
func (s *Server) listPolicies(c *call) (any, error) {
	inherited, err := c.flag("include_inherited")
	if err != nil {
		return nil, err
	}
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.findPolicyHolder(c, c.req.PathValue("type"), c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	found := make(map[string]*abacPolicy)
	for at := o; at != nil; at = at.container() {
		for name, p := range at.policies {
			found[strings.Repeat("/", 3-at.res.typ.depth())+name] = p.shown(at) // the outermost first
		}
		if !inherited {
			break
		}
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, *abacPolicy] {
		return func(yield func(string, *abacPolicy) bool) {
			for _, key := range slices.Sorted(maps.Keys(found)) {
				if key > after && !yield(key, found[key]) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("policies", page, next), nil
}
