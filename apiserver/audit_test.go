package apiserver_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

const auditPath = "/api/v1/audit"

// The trail is asked for what the parameters say, by administrators alone, and a token that is limited to catalogs sees what is in
// those.
func TestAudit(t *testing.T) {
	var asked apiserver.AuditQuery
	var failure error
	trail := []string{"TABLE:sales.emea.orders", "CATALOG:sales", "SCHEMA:hr.core", "VOLUME:sales.a.v", "METASTORE:metastore", "EXTERNAL_LOCATION:sales", "SHARE:sales", "CATALOG:hr", "FUNCTION:salesx.a.b"}
	e := newEnv(t, func(s *setup) {
		s.Audit = func(_ context.Context, q apiserver.AuditQuery) (apiserver.AuditPage, error) {
			asked = q
			page := apiserver.AuditPage{Items: []apiserver.AuditEntry{}, NextCursor: "next", Position: "next"}
			for _, name := range trail {
				if q.Visible(name) {
					page.Items = append(page.Items, apiserver.AuditEntry{
						Time: time.Unix(1, 0).UTC(), Securable: name, Act: "add", Principal: "ann", Privilege: "SELECT", Result: "applied", Intent: "1",
					})
				}
			}
			return page, failure
		}
	})
	e.do("GET", auditPath, "", "Authorization", "").want(401)
	for _, scope := range []keys.Scope{keys.ScopeRead, keys.ScopeWrite} {
		e.do("GET", auditPath, "", bearer(e.issue("s", nil, scope))...).want(403)
	}
	names := func(r reply) (list []string) {
		for _, item := range decode[apiserver.AuditPage](r).Items {
			list = append(list, item.Securable)
		}
		return list
	}
	r := e.do("GET", auditPath+"?securable=schema:sales.emea&principal=Ann&task=t1&since=2026-01-02T03:04:05Z&until=1769853600000&limit=7&cursor=0123456789abcdef-40", "").want(200)
	if diff := cmp.Diff(trail, names(r)); diff != "" {
		t.Error(diff)
	}
	asked.Visible = nil
	want := apiserver.AuditQuery{
		Securable: policy.Securable{Type: policy.Schema, FullName: "sales.emea"}, Principal: "Ann", Task: "t1",
		Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Until: time.UnixMilli(1769853600000).UTC(), Limit: 7, Cursor: "0123456789abcdef-40",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	if e.do("GET", auditPath, "").want(200); asked.Limit != 100 {
		t.Errorf("limit %d", asked.Limit)
	}
	limited := bearer(e.issue("sec", []string{"sales"}, keys.ScopeAdmin))
	if diff := cmp.Diff([]string{"TABLE:sales.emea.orders", "CATALOG:sales", "VOLUME:sales.a.v"}, names(e.do("GET", auditPath, "", limited...).want(200))); diff != "" {
		t.Error(diff)
	}
	for query, pointer := range map[string]string{"securable=sales": "/securable", "securable=table:a": "/securable", "since=now": "/since", "until=9999999999999999": "/until", "limit=0": "/limit", "cursor=x": "/cursor", "by=ann": "/by"} {
		if p := e.do("GET", auditPath+"?"+query, "").want(400).problem(); len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v", query, p.Errors)
		}
	}
	failure = policy.Errorf(policy.CodeInvalid, "no such position")
	if p := e.do("GET", auditPath+"?cursor="+"0123456789abcdef-40", "").want(400).problem(); len(p.Errors) != 1 || p.Errors[0].Detail != "no such position" {
		t.Errorf("%+v", p.Errors)
	}
	newEnv(t, nil).do("GET", auditPath, "").want(404)
}
