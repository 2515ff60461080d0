package apiserver_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
)

// largeLists is a queue whose lists are large.
type largeLists struct {
	*queue.Queue
	made atomic.Int32
}

func (l *largeLists) List(context.Context, ondemand.Filter) (ondemand.Page, error) {
	l.made.Add(1)
	return ondemand.Page{Items: []ondemand.Task{{ID: "t", Source: strings.Repeat("x", 1<<20)}}}, nil
}

// Who asks for many large answers and reads none of them, or sends many large bodies slowly, has only a part of them in memory at a
// time. Other subjects, and the same one's small requests, do not wait for that.
func TestLargeRequestsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, file := newBubble(t)
		tasks := &largeLists{Queue: e.queue}
		listener, ctx, end := e.serveOnPipes(t, apiserver.Options{Tasks: tasks, Verifier: e.verifier})
		greedy, other := e.issue("greedy", nil, keys.ScopeAdmin), e.issue("other", nil, keys.ScopeAdmin)

		send := func(token, request string) *bufio.Reader {
			conn, _ := listener.dial(ctx, "", "")
			t.Cleanup(func() { conn.Close() })
			lines := strings.SplitN(request, "\r\n", 2)
			go func() {
				_, _ = conn.Write([]byte(lines[0] + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + token + "\r\n" + lines[1]))
			}()
			return bufio.NewReader(conn)
		}
		status := func(r *bufio.Reader) int {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode // the rest is not read
		}
		const list, post = "GET " + tasksPath + "\r\n\r\n", "POST " + tasksPath + "\r\nContent-Type: application/json\r\n"
		small := post + "Content-Length: 20\r\n\r\n" + `{"type":"FULL_SYNC"}`
		var readers []*bufio.Reader
		for range 100 {
			readers = append(readers, send(greedy, list))
		}
		synctest.Wait()
		if n := tasks.made.Load(); n != 16 {
			t.Errorf("%d answers for one subject are in memory at once, want 16 of 32", n)
		}
		begun := time.Now()
		if got := status(send(other, list)); got != 200 || time.Since(begun) > 0 {
			t.Errorf("another subject: %d after %v", got, time.Since(begun))
		}
		if got := status(send(greedy, small)); got != 202 || time.Since(begun) > 0 {
			t.Errorf("a small request of the same subject: %d after %v", got, time.Since(begun))
		}
		large := send(greedy, post+"Content-Length: 900000\r\n\r\n"+strings.Repeat(" ", 800_000))
		if got := status(large); got != 429 || time.Since(begun) != 10*time.Second {
			t.Errorf("a large body: %d after %v", got, time.Since(begun))
		}
		synctest.Wait()
		counts := make(map[int]int)
		for _, r := range readers {
			counts[status(r)]++
		}
		if counts[200] != 16 || counts[429] != 84 {
			t.Errorf("answers: %v", counts)
		}
		time.Sleep(time.Minute) // who reads nothing was cut off
		if got := status(send(greedy, list)); got != 200 {
			t.Errorf("after that: %d", got)
		}
		end()
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
}
