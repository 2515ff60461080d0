package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/config"
	"ucwarden/ondemand"
)

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
			flags := clientFlags{server: server.URL, token: "secret"}
			c, err := flags.client(&app{})
			if err != nil {
				t.Fatal(err)
			}
			var seen []ondemand.Transition
			task, err := c.follow(t.Context(), "t1", func(tr ondemand.Transition) { seen = append(seen, tr) })
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
	c, err := (&clientFlags{server: server.URL, token: "x"}).client(&app{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.follow(ctx, "t1", func(ondemand.Transition) {}); !errors.Is(err, context.Canceled) {
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
	c, err := (&clientFlags{server: server.URL + "/base/", token: "x"}).client(&app{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a b", "a/../b", "a?b#c%d"} {
		var refused *refusal
		if _, err := c.get(t.Context(), id); !errors.As(err, &refused) || refused.status != http.StatusTemporaryRedirect {
			t.Errorf("%s: error is %v", id, err)
		}
	}
	want := []string{"/base/api/v1/tasks/a%20b", "/base/api/v1/tasks/a%2F..%2Fb", "/base/api/v1/tasks/a%3Fb%23c%25d"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
}

func TestLocalURL(t *testing.T) {
	for want, c := range map[string]config.APIServer{
		"http://127.0.0.1:8282":  {Addr: "127.0.0.1:8282"},
		"http://127.0.0.1:80":    {Addr: ":80"},
		"http://127.0.0.1:81":    {Addr: "0.0.0.0:81"},
		"http://127.0.0.1:82":    {Addr: "[::]:82"},
		"https://uc.example:443": {Addr: "uc.example:443", TLS: config.TLS{Cert: "c", Key: "k"}},
	} {
		if got := localURL(c); got != want {
			t.Errorf("%s: got %s, want %s", c.Addr, got, want)
		}
	}
}

// Whatever a stream holds, reading it ends, and only whole transitions are taken.
func FuzzReadEvents(f *testing.F) {
	f.Add([]byte("data: {\"from\":\"NEW\",\"to\":\"WAITING\"}\n\n"))
	f.Add([]byte("event: transition\r\ndata: {\ndata: \"to\":\"FAILED\"}\n\n: x\n\nid\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		_ = readEvents(bytes.NewReader(stream), func(tr ondemand.Transition) {
			if tr.To == "" {
				t.Error("a transition to nowhere")
			}
		})
	})
}
