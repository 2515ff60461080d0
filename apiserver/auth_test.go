package apiserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
)

// bearer makes the header pair for a token.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func TestTokensAreNeeded(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	sign := func(over jwt.MapClaims, kid string) string {
		now := time.Now()
		c := jwt.MapClaims{"iss": "ucwarden", "aud": "ucwarden", "sub": "s", "scope": "admin", "exp": now.Add(time.Hour).Unix()}
		for name, v := range over {
			c[name] = v
		}
		token := jwt.NewWithClaims(jwt.SigningMethodES256, c)
		token.Header["kid"] = kid
		text, err := token.SignedString(e.signer)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	forged := strings.Split(e.token, ".")
	for _, tt := range []struct{ name, header, detail, challenge string }{
		{"none", "", "No token", `Bearer realm="ucwarden"`},
		{"basic", "Basic dXNlcjpwYXNz", "not of the form", `error="invalid_request"`},
		{"no token", "Bearer ", "not of the form", `error="invalid_request"`},
		{"garbage", "Bearer x", "well-formed", `error="invalid_token"`},
		{"two tokens", "Bearer " + e.token + " " + e.token, "well-formed", `error="invalid_token"`},
		{"expired", "Bearer " + sign(jwt.MapClaims{"exp": 1}, "k"), "expired", `error="invalid_token"`},
		{"forged", "Bearer " + forged[0] + "." + forged[1] + "." + strings.Repeat("A", len(forged[2])), "signature", `error="invalid_token"`},
		{"wrong audience", "Bearer " + sign(jwt.MapClaims{"aud": "else"}, "k"), "audience", `error="invalid_token"`},
		{"wrong issuer", "Bearer " + sign(jwt.MapClaims{"iss": "else"}, "k"), "issuer", `error="invalid_token"`},
		{"unknown kid", "Bearer " + sign(nil, "z"), "kid", `error="invalid_token"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, call := range [][2]string{
				{"POST", tasksPath}, {"GET", tasksPath}, {"GET", tasksPath + "/t"}, {"GET", tasksPath + "/t/events"},
				{"POST", tasksPath + "/t/cancel"}, {"POST", tasksPath + "/t/retry"},
			} {
				// A token in the query is none.
				r := e.do(call[0], call[1]+"?access_token="+e.token, table("", "c"), "Authorization", tt.header).want(401)
				if p := r.problem(); !strings.Contains(p.Detail, tt.detail) {
					t.Errorf("detail %q, want %q", p.Detail, tt.detail)
				}
				if c := r.header.Get("WWW-Authenticate"); !strings.Contains(c, tt.challenge) {
					t.Errorf("challenge %q, want %q", c, tt.challenge)
				}
				if _, token, _ := strings.Cut(tt.header, " "); len(token) > 10 && strings.Contains(string(r.body), token) {
					t.Errorf("the token is echoed: %s", r.body)
				}
			}
		})
	}
	if task := e.do("GET", tasksPath+"/t", "").task(); task.Status.Terminal() {
		t.Errorf("changed by a call without a token: %s", task.Status)
	}
}

func TestTwoAuthorizationHeaders(t *testing.T) {
	e := newEnv(t, nil)
	req, err := http.NewRequest("GET", e.http.URL+tasksPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + e.token, "Bearer " + e.token}}
	resp, err := e.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestScopes(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	e.do("POST", tasksPath+"/t/cancel", "").want(202)
	const read, write, admin = keys.ScopeRead, keys.ScopeWrite, keys.ScopeAdmin
	for _, tt := range []struct {
		method, path, body string
		ok                 int
		need               keys.Scope
	}{
		{"POST", tasksPath, table("t", "sales"), 200, write},
		{"POST", tasksPath + "/t/cancel", "", 409, write},
		{"POST", tasksPath + "/t/retry", "", 202, write},
		{"GET", tasksPath, "", 200, read},
		{"GET", tasksPath + "/t", "", 200, read},
		{"POST", tasksPath, `{"type":"FULL_SYNC","requestInfo":{"approve":"digest"}}`, 202, admin},
	} {
		for _, have := range [][]keys.Scope{{read}, {write}, {read, write}, {admin}, {"else"}} {
			token := e.custom(t, "s", joined(have), nil, time.Now().Add(time.Hour))
			r := e.do(tt.method, tt.path, tt.body, bearer(token)...)
			allowed := slices.Contains(have, admin) || slices.Contains(have, tt.need)
			switch {
			case allowed && r.status != tt.ok && r.status/100 != 2 && r.status != 409:
				t.Errorf("%s %s with %v: %d %s", tt.method, tt.path, have, r.status, r.body)
			case !allowed && r.status != 403:
				t.Errorf("%s %s with %v: %d, want 403", tt.method, tt.path, have, r.status)
			case !allowed && tt.need != admin && !strings.Contains(r.header.Get("WWW-Authenticate"), `insufficient_scope", scope="`+string(tt.need)):
				t.Errorf("%s %s with %v: challenge %q", tt.method, tt.path, have, r.header.Get("WWW-Authenticate"))
			}
		}
	}
}

// downTransport is a network on which nobody answers.
type downTransport struct{}

func (downTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

// While the key set could not be loaded, anybody may call: that is said once, not with each call.
func TestKeySetThatWasNeverLoaded(t *testing.T) {
	v, err := keys.NewVerifier(t.Context(), keys.VerifierOptions{JWKS: "https://issuer.test/jwks", Transport: downTransport{}})
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, func(s *setup) { s.Verifier = v })
	for range 5 {
		if p := e.do("GET", tasksPath, "").want(503).problem(); !strings.Contains(p.Detail, "key set is not loaded") {
			t.Errorf("detail %q", p.Detail)
		}
	}
	if text := e.log.String(); strings.Contains(text, `"level":"ERROR"`) || strings.Contains(text, `"level":"WARN"`) {
		t.Errorf("logged for each call:\n%s", text)
	}
}

// A task starts over for who asks that: it does nothing that they could not have submitted.
func TestRetryNeedsTheRightsOfTheTask(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	e := newEnv(t, func(s *setup) { s.gate, s.shards = gate, true })
	writer, sales := bearer(e.issue("writer", nil, keys.ScopeWrite, keys.ScopeRead)), bearer(e.issue("sales", []string{"sales"}, keys.ScopeWrite, keys.ScopeRead))
	skip := func(document string) string {
		id := e.do("POST", tasksPath, document).want(202).task().ID
		e.do("POST", tasksPath+"/"+id+"/cancel", "").want(202)
		return id
	}
	// shardOf returns the shard of a full sync that was cancelled once it had one.
	shardOf := func(document string) string {
		id := e.do("POST", tasksPath, document).want(202).task().ID
		for {
			if page := decode[apiserver.TaskPage](e.do("GET", tasksPath+"?parentId="+id, "").want(200)); len(page.Items) > 0 {
				e.do("POST", tasksPath+"/"+id+"/cancel", "").want(202)
				return page.Items[0].ID
			}
			runtime.Gosched()
		}
	}
	approving := strings.Replace(table("", "sales"), `"requestInfo":{`, `"requestInfo":{"approve":"0123",`, 1)
	for _, tt := range []struct {
		name, id      string
		sales, writer int
	}{
		{"an approval", skip(approving), 403, 403},
		{"a full sync with an approval", skip(`{"type":"FULL_SYNC","requestInfo":{"approve":"0123"}}`), 404, 403},
		{"a shard of one", shardOf(`{"type":"FULL_SYNC","requestInfo":{"approve":"0123"}}`), 403, 403},
		{"another catalog", skip(table("", "hr")), 404, 202},
		{"a full sync", skip(`{"type":"FULL_SYNC"}`), 404, 202},
		{"a shard", shardOf(`{"type":"FULL_SYNC"}`), 202, 0},
		{"a table", skip(table("", "sales")), 202, 0},
	} {
		for who, want := range map[string]int{"sales": tt.sales, "writer": tt.writer} {
			token := writer
			if who == "sales" {
				token = sales
			}
			if want == 0 {
				continue
			}
			if r := e.do("POST", tasksPath+"/"+tt.id+"/retry", "", token...); r.status != want {
				t.Errorf("%s retried by %s: %d, want %d: %s", tt.name, who, r.status, want, r.body)
			}
			if now := e.do("GET", tasksPath+"/"+tt.id, "").want(200).task(); (now.RetriedBy != "") != (tt.sales == 202 || tt.writer == 202) && want != 404 {
				t.Errorf("%s, retried by %s: %s, retried by %q", tt.name, who, now.Status, now.RetriedBy)
			}
		}
		if tt.writer == 403 {
			e.do("POST", tasksPath+"/"+tt.id+"/retry", "").want(202) // by the admin
			e.do("POST", tasksPath+"/"+tt.id+"/cancel", "")
		}
	}
}

// custom signs a token with any scope claim and time of expiry.
func (e *env) custom(t *testing.T, subject, scope string, catalogs []string, expires time.Time) string {
	c := jwt.MapClaims{"iss": "ucwarden", "aud": "ucwarden", "sub": subject, "scope": scope, "exp": expires.Unix()}
	if catalogs != nil {
		c["catalogs"] = catalogs
	}
	return e.sign(t, c)
}

func (e *env) sign(t *testing.T, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	token.Header["kid"] = "k"
	text, err := token.SignedString(e.signer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func joined(list []keys.Scope) string {
	var words []string
	for _, s := range list {
		words = append(words, string(s))
	}
	return strings.Join(words, " ")
}

func TestCatalogsLimitWhatATokenReaches(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	limited := bearer(e.issue("etl", []string{"sales", "dev_*"}, keys.ScopeAdmin))
	sync := func(resources ...string) string {
		return `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[` + strings.Join(resources, ",") + `]}}`
	}
	res := func(typ string, values ...string) string {
		var list []string
		for i := 0; i+1 < len(values); i += 2 {
			list = append(list, fmt.Sprintf("%q:%q", values[i], values[i+1]))
		}
		return fmt.Sprintf(`{"type":%q,"values":{%s}}`, typ, strings.Join(list, ","))
	}
	for _, tt := range []struct {
		name, body string
		status     int
		pointers   []string
	}{
		{"table", sync(res("table", "catalog", "sales", "schema", "s", "table", "t")), 202, nil},
		{"another case", sync(res("Catalog", "catalog", "SALES")), 202, nil},
		{"by pattern", sync(res("schema", "catalog", "dev_7", "schema", "s"), res("model", "catalog", "sales", "schema", "s", "model", "m")), 202, nil},
		{"incomplete, to be skipped", sync(res("table", "catalog", "sales")), 202, nil},
		{"other catalog", sync(res("catalog", "catalog", "hr")), 403, []string{"/requestInfo/resources/0"}},
		{"one of three", sync(res("catalog", "catalog", "sales"), res("view", "catalog", "hr", "schema", "s", "view", "v"), res("catalog", "catalog", "dev_1")), 403, []string{"/requestInfo/resources/1"}},
		{"longer name", sync(res("catalog", "catalog", "sales2")), 403, []string{"/requestInfo/resources/0"}},
		{"no catalog given", sync(res("catalog")), 403, []string{"/requestInfo/resources/0"}},
		{"external location", sync(res("external_location", "external_location", "sales")), 403, []string{"/requestInfo/resources/0"}},
		{"external location posing", sync(res("external_location", "external_location", "x", "catalog", "sales")), 403, []string{"/requestInfo/resources/0"}},
		{"share", sync(res("share", "share", "sales")), 403, []string{"/requestInfo/resources/0"}},
		{"metastore", sync(res("metastore")), 403, []string{"/requestInfo/resources/0"}},
		{"metastore posing", sync(res("metastore", "catalog", "sales")), 403, []string{"/requestInfo/resources/0"}},
		{"unknown resource type", sync(res("spoon", "catalog", "sales")), 403, []string{"/requestInfo/resources/0"}},
		{"full sync", `{"type":"FULL_SYNC"}`, 403, nil},
		{"full sync posing", `{"type":"FULL_SYNC","requestInfo":{"resources":[` + res("catalog", "catalog", "sales") + `]}}`, 400, []string{"/requestInfo/resources"}},
		{"pipeline update", `{"type":"PIPELINE_UPDATE","requestInfo":{"pipeline":{"externalId":"p"}}}`, 403, nil},
		{"unknown task type", `{"type":"DANCE"}`, 403, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := e.do("POST", tasksPath, tt.body, limited...).want(tt.status)
			if tt.status == 202 {
				id := r.task().ID
				e.do("GET", tasksPath+"/"+id, "", limited...).want(200)
				return
			}
			var got []string
			for _, f := range r.problem().Errors {
				got = append(got, f.Pointer)
			}
			if !slices.Equal(got, tt.pointers) {
				t.Errorf("errors at %v, want %v", got, tt.pointers)
			}
		})
	}
	e.do("POST", reloadPath, "", limited...).want(403)
}

const reloadPath = "/api/v1/admin/reload"

// To a token limited to catalogs, what others submitted is not there: each call answers as for an id that nobody took.
func TestOthersTasksAreNotThere(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	theirs := map[string]string{
		"theirs": table("theirs", "hr"),
		"full":   `{"id":"full","type":"FULL_SYNC"}`,
		"odd":    `{"id":"odd","type":"DANCE"}`,
		"mixed": `{"id":"mixed","type":"RESOURCE_SYNC","requestInfo":{"resources":[
			{"type":"catalog","values":{"catalog":"sales"}},{"type":"catalog","values":{"catalog":"hr"}}]}}`,
		"share": `{"id":"share","type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"share","values":{"share":"sales"}}]}}`,
		"ended": table("ended", "hr"),
	}
	for _, document := range theirs {
		e.do("POST", tasksPath, document).want(202)
	}
	e.do("POST", tasksPath+"/ended/cancel", "").want(202)
	for _, catalogs := range [][]string{{"sales", "dev_*"}, {}} {
		limited := bearer(e.issue("etl", catalogs, keys.ScopeAdmin))
		for id := range theirs {
			for _, call := range [][2]string{{"GET", ""}, {"HEAD", ""}, {"GET", "/events"}, {"HEAD", "/events"}, {"POST", "/cancel"}, {"POST", "/retry"}} {
				there := e.do(call[0], tasksPath+"/"+id+call[1], "", limited...).want(404)
				absent := e.do(call[0], tasksPath+"/nobody"+call[1], "", limited...).want(404)
				same := func(r reply) string {
					text := string(r.body)
					for _, word := range []string{id, "nobody", r.header.Get("X-Request-Id")} {
						text = strings.ReplaceAll(text, word, "*")
					}
					return text
				}
				if same(there) != same(absent) {
					t.Errorf("%s %s of %s tells that it is there:\n%s\n%s", call[0], call[1], id, there.body, absent.body)
				}
				for name := range there.header {
					if len(absent.header[name]) == 0 {
						t.Errorf("%s %s of %s: header %s tells that it is there", call[0], call[1], id, name)
					}
				}
			}
		}
		if len(catalogs) > 0 { // the id is taken, which is all that is said
			p := e.do("POST", tasksPath, table("theirs", "sales"), limited...).want(409).problem()
			if strings.Contains(p.Detail, "hr") {
				t.Errorf("detail %q", p.Detail)
			}
		}
		page := decode[ondemand.Page](e.do("GET", tasksPath, "", limited...).want(200))
		if len(page.Items) != 0 || page.NextCursor != "" {
			t.Errorf("listed: %+v", page)
		}
		for _, query := range []string{"?status=NEW", "?status=SKIPPED", "?type=FULL_SYNC", "?source=airflow", "?parentId=full", "?limit=1"} {
			if page := decode[ondemand.Page](e.do("GET", tasksPath+query, "", limited...).want(200)); len(page.Items) != 0 || page.NextCursor != "" {
				t.Errorf("%s: listed %+v", query, page)
			}
		}
	}
	for id := range theirs {
		if task := e.do("GET", tasksPath+"/"+id, "").want(200).task(); id != "ended" && task.Status.Terminal() {
			t.Errorf("%s was changed: %s", id, task.Status)
		}
	}
}

func TestListLeavesOutWhatATokenDoesNotReach(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	var want []string
	for i := range 30 {
		id := fmt.Sprintf("t%02d", i)
		catalog := "hr"
		if i%7 < 2 { // in pairs, so that pages of three would overflow
			catalog = "sales"
			want = append(want, id)
		}
		e.do("POST", tasksPath, table(id, catalog)).want(202)
	}
	slices.Reverse(want)
	token := e.issue("etl", []string{"sales"}, keys.ScopeRead)
	for _, limit := range []int{1, 2, 3, 100} {
		var got []string
		cursor := ""
		for range 40 {
			page := decode[ondemand.Page](e.do("GET", fmt.Sprintf("%s?limit=%d&cursor=%s", tasksPath, limit, cursor), "", bearer(token)...).want(200))
			if len(page.Items) > limit {
				t.Fatalf("%d tasks in a page of %d", len(page.Items), limit)
			}
			for _, task := range page.Items {
				got = append(got, task.ID)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	none := bearer(e.issue("etl", []string{}, keys.ScopeRead))
	if page := decode[ondemand.Page](e.do("GET", tasksPath, "", none...).want(200)); len(page.Items) != 0 {
		t.Errorf("a token that reaches no catalog lists %d tasks", len(page.Items))
	}
}

func TestHeaderIsLimited(t *testing.T) {
	e := newEnv(t, nil)
	for _, size := range []int{17 << 10, 25 << 10} {
		p := e.do("GET", tasksPath, "", bearer(strings.Repeat("a", size))...).want(431).problem()
		if !strings.Contains(p.Detail, "16384") {
			t.Errorf("detail %q", p.Detail)
		}
	}
	e.do("GET", tasksPath+"?x="+strings.Repeat("a", 17<<10), "").want(431)
	e.do("GET", tasksPath, "", "X-Other", strings.Repeat("a", 15<<10)).want(200)
}

func TestLogHoldsNoSecret(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	e.do("POST", tasksPath, table("my-task", "sales")).want(202)
	e.do("POST", tasksPath+"?access_token=query-secret", table("other", "sales")).want(400)
	e.do("GET", tasksPath+"/my-task", "", "Authorization", "Bearer header-secret").want(401)
	e.do("GET", tasksPath+"/my-task", "", "Authorization", "Basic header-secret").want(401)
	e.do("GET", tasksPath, "", "X-Request-Id", "forged\" level=ERROR").want(200)
	log := e.log.String()
	for _, secret := range []string{e.token, strings.Split(e.token, ".")[2], "query-secret", "header-secret", "forged"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, want := range []string{`"subject":"tester"`, `"task":"my-task"`, `"route":"/api/v1/tasks/:id"`, `"status":401`, `"method":"POST"`, `"duration":`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}

var _ apiserver.Tasks = (*queue.Queue)(nil)
