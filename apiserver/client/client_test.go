package client_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/apiserver/client"
	"ucwarden/endpoint"
	"ucwarden/ondemand"
)

func newClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// life is what a task went through, one step a millisecond.
func life(steps ...ondemand.Status) ondemand.Task {
	t := ondemand.Task{ID: "t1", Type: ondemand.ResourceSync, Status: steps[len(steps)-1]}
	for i := range steps[:len(steps)-1] {
		t.Transitions = append(t.Transitions, ondemand.Transition{From: steps[i], To: steps[i+1], Time: time.UnixMilli(int64(i)).UTC()})
	}
	return t
}

func event(w http.ResponseWriter, tr ondemand.Transition) {
	body, _ := json.Marshal(tr)
	fmt.Fprintf(w, "id: x\nevent: transition\ndata: %s\n\n", body)
}

func steps(list []ondemand.Transition) string {
	var b strings.Builder
	for _, t := range list {
		fmt.Fprintf(&b, "%s>%s ", t.From, t.To)
	}
	return strings.TrimSpace(b.String())
}

func TestFollow(t *testing.T) {
	whole := life(ondemand.New, ondemand.Waiting, ondemand.InProgress, ondemand.Waiting, ondemand.InProgress, ondemand.Success)
	const all = "NEW>WAITING WAITING>INPROGRESS INPROGRESS>WAITING WAITING>INPROGRESS INPROGRESS>SUCCESS"
	part := whole
	part.Status, part.Transitions = ondemand.InProgress, whole.Transitions[:2]
	answer := func(w http.ResponseWriter, task ondemand.Task) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(task)
	}
	for _, test := range []struct {
		name string
		// serve answers the nth request, counted over both calls.
		serve   func(n int, stream bool, w http.ResponseWriter)
		want    string
		wantErr string
	}{
		{name: "the stream tells everything", want: all, serve: func(_ int, stream bool, w http.ResponseWriter) {
			if !stream {
				answer(w, whole)
				return
			}
			fmt.Fprint(w, "retry: 10\n\n: still here\n\n")
			for _, tr := range whole.Transitions {
				event(w, tr)
			}
			fmt.Fprint(w, "event: other\ndata: {\"to\":\"FAILED\"}\n\ndata: not JSON\n\n")
		}},
		{name: "the stream breaks in the middle of an event", want: all, serve: func(n int, stream bool, w http.ResponseWriter) {
			switch {
			case stream && n <= 2:
				event(w, whole.Transitions[0])
				fmt.Fprint(w, "data: {\"from\":")
				panic(http.ErrAbortHandler)
			case !stream && n <= 2:
				answer(w, part)
			case stream:
				for _, tr := range whole.Transitions {
					event(w, tr)
				}
			default:
				answer(w, whole)
			}
		}},
		{name: "there is no stream", want: all, serve: func(_ int, stream bool, w http.ResponseWriter) {
			if stream {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			answer(w, whole)
		}},
		{name: "the daemon stumbles", want: all, serve: func(n int, stream bool, w http.ResponseWriter) {
			switch {
			case n > 4 && !stream:
				answer(w, whole)
			case n <= 2 && !stream:
				answer(w, part)
			default:
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}},
		{name: "it is not answered at all", wantErr: "the server answers 503 Service Unavailable", serve: func(_ int, _ bool, w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		{name: "the token runs out", want: "NEW>WAITING WAITING>INPROGRESS", wantErr: "the server answers 401 Unauthorized: expired",
			serve: func(n int, stream bool, w http.ResponseWriter) {
				if n <= 2 {
					answer(w, part)
					return
				}
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"status":401,"detail":"expired"}`)
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("authorization %q", r.Header.Get("Authorization"))
				}
				test.serve(int(requests.Add(1)), strings.HasSuffix(r.URL.Path, "/events"), w)
			}))
			defer server.Close()
			c := newClient(t, client.Options{BaseURL: server.URL, Token: "secret"})
			var seen []ondemand.Transition
			task, err := c.Follow(t.Context(), "t1", func(tr ondemand.Transition) { seen = append(seen, tr) })
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Errorf("error is %v, want %s", err, test.wantErr)
				}
			} else if err != nil || task.Status != ondemand.Success {
				t.Errorf("ended as %s, %v", task.Status, err)
			}
			if diff := cmp.Diff(test.want, steps(seen)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	c := newClient(t, client.Options{BaseURL: server.URL})
	if _, err := c.Follow(ctx, "t1", func(ondemand.Transition) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// An id reaches the daemon as it is, and a redirect does not carry the token away.
func TestClientRequests(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.EscapedPath())
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c := newClient(t, client.Options{BaseURL: server.URL + "/base/"})
	for _, id := range []string{"a b", "a/../b", "a?b#c%d"} {
		var refused *endpoint.RedirectError
		if _, err := c.Get(t.Context(), id); !errors.As(err, &refused) || refused.To != server.URL+"/elsewhere" {
			t.Errorf("%s: error is %v", id, err)
		}
	}
	want := []string{"/base/api/v1/tasks/a%20b", "/base/api/v1/tasks/a%2F..%2Fb", "/base/api/v1/tasks/a%3Fb%23c%25d"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
}

// Whatever a stream holds, reading it ends, and only whole transitions are taken.
func FuzzReadEvents(f *testing.F) {
	f.Add([]byte("data: {\"from\":\"NEW\",\"to\":\"WAITING\"}\n\n"))
	f.Add([]byte("event: transition\r\ndata: {\ndata: \"to\":\"FAILED\"}\n\n: x\n\nid\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		_ = client.ReadEvents(bytes.NewReader(stream), func(tr ondemand.Transition) {
			if tr.To == "" {
				t.Error("a transition to nowhere")
			}
		})
	})
}

// call is one request as a server sees it.
type call struct{ Method, Path, Query, Type, Prefer, Agent, Token, Body string }

// recording serves answer to every request, and returns what it was asked.
func recording(t *testing.T, status int, answer string) (url string, calls *[]call) {
	t.Helper()
	calls = new([]call)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*calls = append(*calls, call{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("Prefer"),
			r.UserAgent(), r.Header.Get("Authorization"), string(body)})
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

// Each method makes the call that the API wants, and returns what it answers.
func TestCalls(t *testing.T) {
	url, calls := recording(t, 202, `{"id":"t1","status":"WAITING","items":[{"id":"t2"}],"nextCursor":"next"}`)
	c := newClient(t, client.Options{BaseURL: url, Token: "secret", UserAgent: "test/1"})
	ctx := t.Context()
	for _, f := range []func() (ondemand.Task, error){
		func() (ondemand.Task, error) { return c.SubmitDocument(ctx, []byte(`{"type":"FULL_SYNC"}`)) },
		func() (ondemand.Task, error) { return c.Get(ctx, "t1") },
		func() (ondemand.Task, error) { return c.Cancel(ctx, "t1") },
		func() (ondemand.Task, error) { return c.Retry(ctx, "t1") },
	} {
		if task, err := f(); err != nil || task.ID != "t1" || task.Status != ondemand.Waiting {
			t.Errorf("returned %+v, %v", task, err)
		}
	}
	page, err := c.List(ctx, ondemand.Filter{
		Status: ondemand.Failed, Type: ondemand.FullSync, Source: "cli", ParentID: "p", ExternalID: "e", TopLevel: true, Cursor: "c&d", Limit: 7,
		Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != "t2" || page.NextCursor != "next" {
		t.Errorf("returned %+v, %v", page, err)
	}
	if _, err := c.List(ctx, ondemand.Filter{}); err != nil {
		t.Error(err)
	}
	const root = "/api/v1/tasks"
	want := []call{
		{Method: "POST", Path: root, Type: "application/json", Body: `{"type":"FULL_SYNC"}`},
		{Method: "GET", Path: root + "/t1"},
		{Method: "POST", Path: root + "/t1/cancel"},
		{Method: "POST", Path: root + "/t1/retry"},
		{Method: "GET", Path: root,
			Query: "status=FAILED&type=FULL_SYNC&source=cli&parentId=p&externalId=e&topLevel=true&since=2026-01-02T03%3A04%3A05Z&limit=7&cursor=c%26d"},
		{Method: "GET", Path: root},
	}
	for i := range want {
		want[i].Agent, want[i].Token = "test/1", "Bearer secret"
	}
	if diff := cmp.Diff(want, *calls); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Submit(ctx, ondemand.Task{ID: "mine", Type: ondemand.FullSync}); err != nil {
		t.Fatal(err)
	}
	var sent ondemand.Task
	if err := json.Unmarshal([]byte((*calls)[len(*calls)-1].Body), &sent); err != nil || sent.ID != "mine" || sent.Type != ondemand.FullSync {
		t.Errorf("sent %+v, %v", sent, err)
	}
	if _, err := c.SubmitWait(ctx, ondemand.Task{Type: ondemand.FullSync}, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if last := (*calls)[len(*calls)-1]; last.Prefer != "wait=30" || last.Method != "POST" {
		t.Errorf("sent %+v", last)
	}
}

// A call that Client has no method for is made by the API of the document, with the token, and errors are the same.
func TestGeneratedCalls(t *testing.T) {
	url, calls := recording(t, 200, `{"parts":[{"name":"keys","detail":"1 in force"}]}`)
	c := newClient(t, client.Options{BaseURL: url + "/below", Token: "secret", UserAgent: "test/1"})
	resp, err := c.API().Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer client.ReloadAnswer
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Parts) != 1 || answer.Parts[0].Name != "keys" {
		t.Errorf("returned %+v, %v", answer, err)
	}
	want := []call{{Method: "POST", Path: "/below/api/v1/admin/reload", Agent: "test/1", Token: "Bearer secret"}}
	if diff := cmp.Diff(want, *calls); diff != "" {
		t.Error(diff)
	}
	refusing, _ := recording(t, 403, `{"status":403,"detail":"no"}`)
	_, err = newClient(t, client.Options{BaseURL: refusing}).API().Reload(t.Context())
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Problem.Detail != "no" {
		t.Errorf("error is %v", err)
	}
}

func TestSubmitAll(t *testing.T) {
	url, calls := recording(t, 200, `{"items":[{"status":202,"location":"/api/v1/tasks/a","task":{"id":"a","status":"NEW"}},{"status":409,"problem":{"detail":"taken"}}]}`)
	items, err := newClient(t, client.Options{BaseURL: url}).SubmitAll(t.Context(), []ondemand.Task{{ID: "a", Type: ondemand.FullSync}, {ID: "b", Type: ondemand.FullSync}})
	if err != nil || len(items) != 2 || items[0].Task == nil || items[0].Task.ID != "a" || items[1].Problem == nil || items[1].Problem.Detail != "taken" {
		t.Errorf("returned %+v, %v", items, err)
	}
	var sent []ondemand.Task
	if err := json.Unmarshal([]byte((*calls)[0].Body), &sent); err != nil || len(sent) != 2 || (*calls)[0].Path != "/api/v1/tasks:batch" {
		t.Errorf("sent %+v, %v", *calls, err)
	}
}

// An error answer keeps its status and its problem; a page that is no problem document is left out.
func TestErrors(t *testing.T) {
	for body, want := range map[string]string{
		`{"status":400,"detail":"wrong","requestId":"r1","errors":[{"pointer":"/type","detail":"unknown"},{"pointer":"/id","detail":"long"}]}`: "the server answers 400 Bad Request: wrong; /type: unknown; /id: long",
		`<html>proxy</html>`: "the server answers 400 Bad Request",
	} {
		url, _ := recording(t, 400, body)
		_, err := newClient(t, client.Options{BaseURL: url}).Get(t.Context(), "t1")
		var refused *client.Error
		if !errors.As(err, &refused) || err.Error() != want || refused.Status != 400 {
			t.Errorf("error is %v, want %s", err, want)
		} else if strings.Contains(body, "r1") != (refused.Problem.RequestID == "r1") {
			t.Errorf("problem is %+v", refused.Problem)
		}
	}
	url, _ := recording(t, 200, `{"id":`)
	if _, err := newClient(t, client.Options{BaseURL: url}).Get(t.Context(), "t1"); err == nil {
		t.Error("no error for half an answer")
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	_ = listener.Close() // nobody listens there any more
	_, err = newClient(t, client.Options{BaseURL: url}).Get(t.Context(), "t1")
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) || unreachable.BaseURL != url || unreachable.Unwrap() == nil {
		t.Errorf("error is %v", err)
	}
}

func TestRootCAs(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"t1"}`) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	if task, err := newClient(t, client.Options{BaseURL: server.URL, RootCAs: pool}).Get(t.Context(), "t1"); err != nil || task.ID != "t1" {
		t.Errorf("returned %+v, %v", task, err)
	}
	if _, err := newClient(t, client.Options{BaseURL: server.URL}).Get(t.Context(), "t1"); err == nil {
		t.Error("an unknown authority is trusted")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []client.Options{
		{}, {BaseURL: "127.0.0.1:8282"}, {BaseURL: "ftp://host"}, {BaseURL: "http://"}, {BaseURL: "http://user:secret@host"},
		{BaseURL: "http://user:secret@host:port"}, {BaseURL: "https://host", GiveUpAfter: -1},
		{BaseURL: "https://host", RootCAs: x509.NewCertPool(), Transport: http.DefaultTransport},
		{BaseURL: "http://host"}, {BaseURL: "http://10.0.0.1:8282"},
	} {
		if _, err := client.New(o); err == nil {
			t.Errorf("%+v: no error", o)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

// A server that has answered once and stops is given up after the time set.
func TestFollowGivesUp(t *testing.T) {
	part := life(ondemand.New, ondemand.Waiting)
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 2 { // the first look-up
			_ = json.NewEncoder(w).Encode(part)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	c := newClient(t, client.Options{BaseURL: server.URL, GiveUpAfter: time.Nanosecond})
	var refused *client.Error
	if _, err := c.Follow(t.Context(), "t1", func(ondemand.Transition) {}); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("error is %v", err)
	}
	if n := requests.Load(); n != 4 {
		t.Errorf("%d requests, want a stream and a look-up, twice", n)
	}
}

// A server that is asked too often is left alone for as long as it says; where it takes no stream alone, the task is looked up meanwhile.
func TestFollowHonoursRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name            string
		stream, lookUps bool // what is refused
		want            time.Duration
	}{{"streams", true, false, 2 * time.Second}, {"all", true, true, 20 * time.Second}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, streams, lookUps := time.Now(), 0, 0
				c := newClient(t, client.Options{BaseURL: "http://localhost:1", Transport: transport(func(r *http.Request) *http.Response {
					w := httptest.NewRecorder()
					stream := strings.HasSuffix(r.URL.Path, "/events")
					if stream {
						streams++
					} else {
						lookUps++
					}
					switch {
					case stream || test.lookUps && lookUps == 2:
						w.Header().Set("Retry-After", "20")
						w.WriteHeader(http.StatusTooManyRequests)
					case time.Since(start) < time.Second:
						_ = json.NewEncoder(w).Encode(life(ondemand.New, ondemand.Waiting))
					default:
						_ = json.NewEncoder(w).Encode(life(ondemand.New, ondemand.Waiting, ondemand.InProgress, ondemand.Success))
					}
					return w.Result()
				})})
				task, err := c.Follow(t.Context(), "t1", func(ondemand.Transition) {})
				took := time.Since(start)
				if err != nil || task.Status != ondemand.Success || took < test.want/2 || took > test.want+time.Second {
					t.Errorf("ended as %s after %v, want about %v: %v", task.Status, took, test.want, err)
				}
				if streams > 2 || test.name == "streams" && streams != 1 {
					t.Errorf("asked for a stream %d times in %v", streams, took)
				}
			})
		})
	}
}

type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// An error says when the request can be sent again.
func TestErrorSaysWhenToRetry(t *testing.T) {
	c := newClient(t, client.Options{BaseURL: "http://localhost:1", Transport: transport(func(*http.Request) *http.Response {
		w := httptest.NewRecorder()
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return w.Result()
	})})
	_, err := c.Submit(t.Context(), ondemand.Task{Type: ondemand.FullSync})
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.RetryAfter != 7*time.Second || !strings.Contains(err.Error(), "again after 7s") {
		t.Errorf("%v", err)
	}
}
