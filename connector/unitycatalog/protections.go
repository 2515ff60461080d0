package unitycatalog

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"ucwarden/connector/protection"
	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/naming"
)

var (
	_ protection.Protections = (*Client)(nil)
	_ protection.Shares      = (*Client)(nil)
)

type functionArgument struct {
	Column   string  `json:"column"`
	Constant *string `json:"constant"`
}

// tableInfo holds the fields of a table that tell what protects it.
type tableInfo struct {
	objectInfo
	ID         string `json:"table_id"`
	BrowseOnly bool   `json:"browse_only"`
	Format     string `json:"data_source_format"`
	RowFilter  *struct {
		Function  string             `json:"function_name"`
		Columns   []string           `json:"input_column_names"`
		Arguments []functionArgument `json:"input_arguments"`
	} `json:"row_filter"`
	Columns []struct {
		Name string `json:"name"`
		Type string `json:"type_text"`
		Mask *struct {
			Function  string             `json:"function_name"`
			Columns   []string           `json:"using_column_names"`
			Arguments []functionArgument `json:"using_arguments"`
		} `json:"mask"`
	} `json:"columns"`
}

func attached(function string, columns []string, arguments []functionArgument) policy.Attached {
	a := policy.Attached{Function: naming.Canonical(function)}
	for _, arg := range arguments {
		if arg.Constant != nil {
			a.Arguments = append(a.Arguments, policy.Argument{Constant: *arg.Constant})
		} else {
			a.Arguments = append(a.Arguments, policy.Argument{Column: strings.ToLower(arg.Column)})
		}
	}
	if len(arguments) == 0 {
		for _, name := range columns {
			a.Arguments = append(a.Arguments, policy.Argument{Column: strings.ToLower(name)})
		}
	}
	return a
}

func (t *tableInfo) state() (policy.TableState, error) {
	o, err := t.object(policy.Table, "")
	if err != nil {
		return policy.TableState{}, err
	}
	s := policy.TableState{Securable: o.Securable, ID: t.ID, Kind: o.Kind, Owner: o.Owner, Known: !t.BrowseOnly && len(t.Columns) > 0}
	switch {
	case strings.HasSuffix(t.TableType, "SHALLOW_CLONE"):
		s.Unprotectable = "a shallow clone cannot carry a row filter or mask"
	case t.Format == "DELTASHARING":
		s.Unprotectable = "it is shared by a provider, and only there it can be given a row filter or mask"
	}
	if f := t.RowFilter; f != nil {
		filter := attached(f.Function, f.Columns, f.Arguments)
		s.Protection.Filter = &filter
	}
	for _, c := range t.Columns {
		s.Columns = append(s.Columns, policy.Column{Name: c.Name, Type: c.Type})
		if c.Mask == nil {
			continue
		}
		if s.Protection.Masks == nil {
			s.Protection.Masks = make(map[string]policy.Attached)
		}
		s.Protection.Masks[strings.ToLower(c.Name)] = attached(c.Mask.Function, c.Mask.Columns, c.Mask.Arguments)
	}
	return s, nil
}

// Tables implements protection.Protections.
func (c *Client) Tables(ctx context.Context, of policy.Securable) ([]policy.TableState, error) {
	var list []policy.TableState
	add := func(t *tableInfo) error {
		s, err := t.state()
		if err != nil {
			return policy.Errorf(policy.CodeUnavailable, "the answer does not name a table: %w", err)
		}
		if !of.Contains(s.Securable) {
			return policy.Errorf(policy.CodeUnavailable, "the answer names %s, which is not in %s", s.Securable, of)
		}
		list = append(list, s)
		return nil
	}
	err := checkName(of)
	switch {
	case err != nil:
	case of.Type == policy.Table:
		var t tableInfo
		if err = c.get(ctx, "tables one", prefix+"tables/"+url.PathEscape(of.FullName), nil, &t); err == nil {
			err = add(&t)
		}
	default:
		err = eachPage(ctx, c, "tables", "tables", "tables", inSchema(of), add)
	}
	if err != nil {
		return nil, wrap(err, "read what protects %s", of)
	}
	return list, nil
}

func inSchema(s policy.Securable) url.Values {
	names := s.Names()
	return url.Values{"catalog_name": {names[0]}, "schema_name": {names[1]}}
}

type functionInfo struct {
	objectInfo
	Comment    string `json:"comment"`
	Definition string `json:"routine_definition"`
	Returns    string `json:"full_data_type"`
	Updated    int64  `json:"updated_at"`
	Input      struct {
		Parameters []struct {
			Name string `json:"name"`
			Type string `json:"type_text"`
		} `json:"parameters"`
	} `json:"input_params"`
}

// Functions implements protection.Protections.
func (c *Client) Functions(ctx context.Context, of policy.Securable) ([]policy.SQLFunction, error) {
	var list []policy.SQLFunction
	add := func(f *functionInfo) error {
		o, err := f.object(policy.Function, "")
		if err != nil {
			return policy.Errorf(policy.CodeUnavailable, "the answer does not name a function: %w", err)
		}
		fn := policy.SQLFunction{Name: o.FullName, Returns: f.Returns, Body: f.Definition, Comment: f.Comment, Owner: f.Owner}
		if f.Updated > 0 {
			fn.UpdatedAt = time.UnixMilli(f.Updated)
		}
		for _, p := range f.Input.Parameters {
			fn.Parameters = append(fn.Parameters, policy.Column{Name: p.Name, Type: p.Type})
		}
		list = append(list, fn)
		return nil
	}
	err := checkName(of)
	switch {
	case err != nil:
	case of.Type == policy.Function:
		var f functionInfo
		if err = c.get(ctx, "functions one", prefix+"functions/"+url.PathEscape(of.FullName), nil, &f); err == nil {
			err = add(&f)
		}
	default:
		err = eachPage(ctx, c, "functions", "functions", "functions", inSchema(of), add)
	}
	if err != nil {
		return nil, wrap(err, "read functions of %s", of)
	}
	return list, nil
}

type attributePolicy struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	OnType    string   `json:"on_securable_type"`
	OnName    string   `json:"on_securable_fullname"`
	Type      string   `json:"policy_type"`
	Condition string   `json:"when_condition"`
	To        []string `json:"to_principals"`
	Except    []string `json:"except_principals"`
	RowFilter struct {
		Function string `json:"function_name"`
	} `json:"row_filter"`
	Mask struct {
		Function string `json:"function_name"`
	} `json:"column_mask"`
}

// AttributePolicies implements protection.Protections.
func (c *Client) AttributePolicies(ctx context.Context, on policy.Securable) ([]policy.AttributePolicy, error) {
	var list []policy.AttributePolicy
	err := checkName(on)
	if err == nil {
		path := "policies/" + strings.ToLower(string(on.Type)) + "/" + url.PathEscape(on.FullName)
		err = eachPage(ctx, c, "policies", path, "policies", url.Values{"include_inherited": {"true"}}, func(p *attributePolicy) error {
			list = append(list, policy.AttributePolicy{
				ID: p.ID, Name: p.Name, Type: policy.AttributePolicyType(p.Type), Condition: p.Condition, To: p.To, Except: p.Except,
				On:       policy.Securable{Type: policy.SecurableType(strings.ToUpper(p.OnType)), FullName: naming.Canonical(p.OnName)},
				Function: naming.Canonical(p.RowFilter.Function + p.Mask.Function),
			})
			return nil
		})
	}
	if a, ok := errors.AsType[*apiError](err); ok && a.isUnsupported() {
		return nil, nil
	}
	if err != nil {
		return nil, wrap(err, "read the attribute-based policies on %s", on)
	}
	return list, nil
}

// sharedObject is an object in a share.
type sharedObject struct {
	Name string `json:"name"`
	Type string `json:"data_object_type"`
}

// Shared implements protection.Shares. It lists the shares and reads each, since the listing need not show what they hold.
func (c *Client) Shared(ctx context.Context) (map[policy.Securable]string, error) {
	shares, err := c.List(ctx, policy.Securable{}, policy.Share)
	if err != nil {
		return nil, err
	}
	found := make(map[policy.Securable]string)
	var mu sync.Mutex
	g := group.New()
	g.SetLimit(c.maxParallel)
	for _, share := range shares {
		g.Go(func() error {
			var s struct {
				Objects []sharedObject `json:"objects"`
			}
			path := prefix + "shares/" + url.PathEscape(share.FullName)
			err := c.get(ctx, "shares one", path, url.Values{"include_shared_data": {"true"}}, &s)
			switch {
			case policy.CodeOf(err) == policy.CodeNotFound:
				return nil // it is gone meanwhile
			case err != nil:
				return wrap(err, "read what %s holds", share)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, o := range s.Objects {
				if of, ok := o.securable(); ok {
					found[of] = share.FullName
				}
			}
			return nil
		})
	}
	return found, g.Wait()
}

// securable returns the table or schema that is shared; ok is false for what carries no row filters.
func (o *sharedObject) securable() (of policy.Securable, ok bool) {
	of = policy.Securable{Type: policy.Table, FullName: naming.Canonical(o.Name)}
	switch o.Type {
	case "SCHEMA":
		of.Type = policy.Schema
	case "VOLUME", "FUNCTION", "MODEL", "NOTEBOOK_FILE":
		return of, false
	}
	return of, len(of.Names()) == of.Type.Depth()
}
