package apiserver_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ucwarden/apiserver/keys"
)

// zeros is a body of that many bytes, which is not in memory.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// manyResources is a document of about 7 MB.
var manyResources = sync.OnceValue(func() string {
	return `{"type": "RESOURCE_SYNC", "requestInfo": {"resources": [` +
		strings.Repeat(`{"type": "table", "values": {"catalog": "c", "schema": "s", "table": "t"}},`, 100_000) + `{}]}}`
})

// tinyResources is one that fits into the limit of a body.
var tinyResources = sync.OnceValue(func() string {
	return `{"type": "RESOURCE_SYNC", "requestInfo": {"resources": [` + strings.Repeat(`{},`, 100_000) + `{}]}}`
})

// manyFields is one with as many unknown fields as fit into it.
var manyFields = sync.OnceValue(func() string {
	var b strings.Builder
	b.WriteString(`{"type": "RESOURCE_SYNC"`)
	for i := range 90_000 {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	return b.String() + "}"
})

// hostile are bodies that are refused.
func hostile() map[string]struct {
	body   func() io.Reader
	length int64 // declared; -1: chunked
	want   int
} {
	type c = struct {
		body   func() io.Reader
		length int64
		want   int
	}
	text := func(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }
	deep := strings.Repeat(`{"a":`, 170_000)
	return map[string]c{
		"100 MB":                 {func() io.Reader { return zeros(100 << 20) }, 100 << 20, 413},
		"100 MB in chunks":       {func() io.Reader { return zeros(100 << 20) }, -1, 413},
		"100,000 resources":      {text(manyResources()), int64(len(manyResources())), 413},
		"100,000 tiny resources": {text(tinyResources()), int64(len(tinyResources())), 413},
		"90,000 fields":          {text(manyFields()), int64(len(manyFields())), 413},
		"deep JSON":              {text(deep), int64(len(deep)), 400},
		"deep extra fields":      {text(`{"type": "x", "y": ` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + "}"), -1, 400},
	}
}

// send posts a body and returns the status; 0 where the server closed the connection while the body was sent.
func send(client *http.Client, url, token string, body io.Reader, length int64) int {
	req, err := http.NewRequest("POST", url, body)
	if err != nil {
		panic(err)
	}
	req.ContentLength = length
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// What is too large, too many or too deep is refused without taking much memory.
func TestHostileBodies(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.Rate = true, -1 })
	for name, c := range hostile() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 3 {
				got := send(http.DefaultClient, e.http.URL+tasksPath, e.token, c.body(), c.length)
				if got != c.want && (got != 0 || c.want != 413) {
					t.Errorf("answered %d, want %d", got, c.want)
				}
			}
			runtime.ReadMemStats(&after)
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20 / 3; mib > 200 {
				t.Errorf("%d MiB allocated for each", mib)
			}
		})
	}
	if page := e.do("GET", tasksPath, "").want(200); !bytes.Contains(page.body, []byte(`"items":[]`)) {
		t.Errorf("something was stored: %.200s", page.body)
	}
}

// BenchmarkHostile compares the latency of a client that posts one task after the other while others send hostile bodies, one
// after the other, and a hundred connections dawdle, with the same client alone, in turn within one run: p99/alone.
func BenchmarkHostile(b *testing.B) {
	e := newEnv(b, func(s *setup) {
		s.Rate, s.stopped = -1, true
		s.queue.MaxQueued, s.queue.InMemory = 1<<30, 1<<22
	})
	e.log.discard = true
	token, good := e.issue("good", nil, keys.ScopeWrite), benchClient()
	round := func(list *[]time.Duration) {
		for range 2000 {
			begun := time.Now()
			if err := postOnce(good, e.http.URL+tasksPath, token, table("", "sales")); err != nil {
				b.Fatal(err)
			}
			*list = append(*list, time.Since(begun))
		}
	}
	var alone, beside []time.Duration
	for b.Loop() {
		round(&alone)
		stop := e.attack(b)
		round(&beside)
		stop()
	}
	p99 := func(list []time.Duration) float64 {
		slices.Sort(list)
		return float64(list[len(list)*99/100].Microseconds()) / 1000
	}
	b.ReportMetric(p99(alone), "alone-p99-ms")
	b.ReportMetric(p99(beside), "p99-ms")
	b.ReportMetric(p99(beside)/p99(alone), "p99/alone")
	b.ReportMetric(0, "ns/op")
}

// attack sends hostile requests until stop is called: each kind four times a second.
func (e *env) attack(b *testing.B) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	for range 100 {
		conn, err := net.Dial("tcp", e.http.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		running.Go(func() {
			defer conn.Close()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", tasksPath, e.token)
			<-ended
		})
	}
	for _, c := range hostile() {
		running.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for tick := time.NewTicker(250 * time.Millisecond); ; {
				select {
				case <-ended:
					tick.Stop()
					return
				case <-tick.C:
					send(client, e.http.URL+tasksPath, e.token, c.body(), c.length)
				}
			}
		})
	}
	return func() { close(ended); running.Wait() }
}

// While as many large bodies are checked as may be at a time, small requests go on, and a large one waits.
func TestSmallRequestsBesideLargeOnes(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.Rate = true, -1 })
	release := e.server.HoldChecks()
	answer := make(chan int, 1)
	go func() {
		answer <- send(http.DefaultClient, e.http.URL+tasksPath, e.token, strings.NewReader(tinyResources()), int64(len(tinyResources())))
	}()
	for range 100 {
		e.do("POST", tasksPath, `{"type": "FULL_SYNC"}`).want(202)
	}
	select {
	case got := <-answer:
		t.Errorf("the large one was answered meanwhile: %d", got)
	default:
	}
	release()
	if got := <-answer; got != 413 {
		t.Errorf("the large one: %d, want 413", got)
	}
}
