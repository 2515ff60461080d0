package content

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/yamljson"
)

// document is one JSON document of a file, and what was read from it: one of the pointers is set.
type document struct {
	file   File
	number int // from 1; a YAML file may hold several
	data   []byte
	kind   parse.DocumentKind
	kept   bool // it is what was last read from a file that cannot be read any more
	// foreign is why the document is left out, and the others of its file are not: it is of another program.
	foreign string
	misfit  error // why the document, of roles, cannot be read; nil where it is, or is of another kind

	policies *ranger.ServicePolicies // of a single policy, or a list, the list alone
	roles    *ranger.ServiceRoles
	users    *ranger.UserStore
	tags     *ranger.ServiceTags
	def      *ranger.ServiceDef
	unknown  []ranger.UnknownField
}

// readDocuments returns the documents of a file. An error comes with the document that cannot be read, which holds no data
// where the file could not be parted into documents.
func readDocuments(f File) (docs []*document, unreadable *document, err error) {
	if docs, err = documents(f); err != nil {
		return nil, &document{file: f}, err
	}
	var other error // of the first document of another program
	foreign := 0
	for _, d := range docs {
		if err = d.classify(); err == nil {
			err = d.parse()
			if err != nil && d.kind == parse.DocumentRoles && !errors.Is(err, errPage) {
				d.misfit, err = err, nil
			}
		} else if d.isForeign(err) {
			d.foreign = strings.TrimPrefix(err.Error(), f.path+": ")
			other = cmp.Or(other, err)
			foreign++
			continue
		}
		if err != nil {
			return nil, d, err
		}
	}
	if foreign == len(docs) {
		return nil, docs[0], other
	}
	return docs, nil, nil
}

// isForeign reports whether a document of no known kind is another program's: it is whole, and nothing in it looks like policies.
func (d *document) isForeign(err error) bool {
	return d.kind == parse.DocumentUnknown && json.Unmarshal(d.data, new(json.RawMessage)) == nil && d.hint() == "" && mayRestrict(d.data, err) == ""
}

// documents parts a file into its documents.
func documents(f File) ([]*document, error) {
	data := bytes.TrimPrefix(f.data, []byte("\ufeff"))
	var docs []*document
	if strings.EqualFold(f.path[strings.LastIndexByte(f.path, '.')+1:], "json") {
		if len(bytes.TrimSpace(data)) > 0 {
			docs = []*document{{file: f, number: 1, data: data}}
		}
	} else {
		if !utf8.Valid(data) {
			return nil, policy.Errorf(policy.CodeInvalid, "%s: line %d is not valid UTF-8", f.path, lineOf(data, invalidAt(data)))
		}
		bodies, err := yamljson.Documents(data)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "%s: %w", f.path, err)
		}
		for i, body := range bodies {
			docs = append(docs, &document{file: f, number: i + 1, data: body})
		}
	}
	switch {
	case len(docs) > 0:
		return docs, nil
	case len(bytes.TrimSpace(data)) > 0:
		return nil, policy.Errorf(policy.CodeInvalid, "%s: %w; remove it, or put policies into it", f.path, errOnlyComments)
	}
	return nil, policy.Errorf(policy.CodeInvalid, "%s: the file is empty; remove it, or put policies into it", f.path)
}

// errOnlyComments is why a YAML file without a document is left out. One of no bytes may have been cut off instead.
var errOnlyComments = errors.New("the file is empty but for comments")

// parse reads what the document holds. The service name of a download or export applies to policies that name none.
func (d *document) parse() (err error) {
	origin := d.file.path
	switch d.kind {
	case parse.DocumentPolicies:
		if d.policies, err = parse.PolicyFile(d.data, origin); err != nil {
			return err
		}
		if field := d.policies.Deltas(); field != "" {
			return policy.Errorf(policy.CodeInvalid, "%s: %s: a file must hold whole policies, not changes of them", origin, field)
		}
		if err = d.checkWhole(len(d.policies.Policies)); err != nil {
			return err
		}
		d.unknown = d.policies.Unknown
		setTagType(d.policies.Policies)
		for i := range d.policies.Policies {
			if p := &d.policies.Policies[i]; p.Service == "" && p.ServiceType != ranger.TagServiceType {
				p.Service = d.policies.ServiceName
			}
		}
	case parse.DocumentPolicy, parse.DocumentPolicyList:
		d.policies = &ranger.ServicePolicies{}
		d.policies.Policies, d.unknown, err = parse.Policies(d.data, origin)
		setTagType(d.policies.Policies)
	case parse.DocumentRoles:
		if d.roles, err = parse.Roles(d.data, origin); err == nil {
			d.unknown = d.roles.Unknown
			err = d.checkWhole(len(d.roles.RangerRoles))
		}
	case parse.DocumentUsers:
		if d.users, err = parse.UserStore(d.data, origin); err == nil {
			d.unknown = d.users.Unknown
		}
	case parse.DocumentTags:
		if d.tags, err = parse.Tags(d.data, origin); err == nil {
			d.unknown = d.tags.Unknown
			if d.tags.IsDelta {
				return policy.Errorf(policy.CodeInvalid, "%s: isDelta: a file must hold all tags, not changes of them", origin)
			}
		}
	case parse.DocumentServiceDef:
		if d.def, err = parse.ServiceDef(d.data, origin); err == nil {
			d.unknown = d.def.Unknown
		}
	}
	return err
}

// setTagType sets the type of service of policies on tags that do not say it: their one resource is the tag, which no other type of
// service has.
func setTagType(list []ranger.Policy) {
	onTags := func(resources map[string]ranger.PolicyResource) bool {
		_, ok := resources[ranger.TagResource]
		return ok && len(resources) == 1
	}
	for i := range list {
		p := &list[i]
		if strings.EqualFold(p.ServiceType, ranger.TagServiceType) || p.ServiceType == "" && onTags(p.Resources) {
			p.ServiceType = ranger.TagServiceType
		}
	}
}

// classify sets the kind of a document, and checks that policies may be read from it.
func (d *document) classify() error {
	switch d.kind = parse.Classify(d.data); d.kind {
	case parse.DocumentPolicies, parse.DocumentPolicy, parse.DocumentPolicyList, parse.DocumentRoles:
		if d.isOthers() {
			d.kind = parse.DocumentUnknown
		}
	}
	switch d.kind {
	case parse.DocumentSuite:
		return policy.Errorf(policy.CodeInvalid, "%s: this is a test suite, not policies; keep it out of the policy folder", d.file.path)
	case parse.DocumentZone:
		return policy.Errorf(policy.CodeInvalid, "%s: these are security zones as Ranger Admin keeps them, of which the policies are not known: write them into securityZones of a document of policies, "+
			"each by its name with its resources and its policies, as the policy download does", d.file.path)
	case parse.DocumentDeltas:
		return policy.Errorf(policy.CodeInvalid, "%s: policyDeltas: a file must hold whole policies, not changes of them", d.file.path)
	case parse.DocumentUnknown:
		if err := json.Unmarshal(d.data, new(json.RawMessage)); err != nil {
			return d.syntaxError(err)
		}
		return policy.Errorf(policy.CodeInvalid, "%s: not a known kind of document%s: want a policy (resources), policies, roles (rangerRoles), "+
			"a user store (userGroupMapping), tags (serviceResources) or a service definition (resources and accessTypes)", d.file.path, d.hint())
	}
	return nil
}

func (d *document) syntaxError(err error) error {
	at := int64(0)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	}
	return policy.Errorf(policy.CodeInvalid, "%s: line %d: not valid JSON: %w", d.file.path, lineOf(d.data, int(at)), err)
}

func lineOf(data []byte, offset int) int {
	return bytes.Count(data[:min(max(offset, 0), len(data))], []byte("\n")) + 1
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}
