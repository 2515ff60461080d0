package apiserver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/keys"
)

// BenchmarkPost compares POST /api/v1/tasks, which answers once the task is on the disk, with a handler of echo that verifies
// the token, reads the body and answers nothing, in turn within one run, by 64 clients. posts/bare is the ratio of their rates.
func BenchmarkPost(b *testing.B) {
	e := newEnv(b, func(s *setup) {
		s.Rate, s.stopped = -1, true
		s.queue.MaxQueued, s.queue.InMemory = 1<<30, 1<<22
	})
	e.log.discard = true
	body := table("", "sales")
	bare := echo.New()
	bare.POST("/", func(c echo.Context) error {
		token := strings.TrimPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
		_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return &e.signer.PublicKey, nil }, jwt.WithValidMethods([]string{"ES256"}))
		if err != nil {
			return err
		}
		if _, err := io.ReadAll(c.Request().Body); err != nil {
			return err
		}
		return c.NoContent(http.StatusAccepted)
	})
	other := serveBench(b, bare)
	client := benchClient()
	var posts, bares time.Duration
	const round = 2000
	for b.Loop() {
		bares += e.timePosts(client, other+"/", body, round)
		posts += e.timePosts(client, e.http.URL+tasksPath, body, round)
	}
	per := func(d time.Duration) float64 { return float64(b.N*round) / d.Seconds() }
	b.ReportMetric(per(bares), "bare/s")
	b.ReportMetric(per(posts), "posts/s")
	b.ReportMetric(per(posts)/per(bares), "posts/bare")
	b.ReportMetric(0, "ns/op")
}

func serveBench(b *testing.B, h http.Handler) (url string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	return "http://" + listener.Addr().String()
}

func benchClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConns: 64, MaxIdleConnsPerHost: 64}}
}

// timePosts posts n times by 64 clients and returns how long that took.
func (e *env) timePosts(client *http.Client, url, body string, n int) time.Duration {
	token := e.issue("bench", nil, keys.ScopeWrite)
	var left atomic.Int64
	left.Store(int64(n))
	var running sync.WaitGroup
	begun := time.Now()
	for range 64 {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				if err := postOnce(client, url, token, body); err != nil {
					e.t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	return time.Since(begun)
}

func postOnce(client *http.Client, url, token, body string) error {
	req, err := http.NewRequest("POST", url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s answers %d", url, resp.StatusCode)
	}
	return nil
}
