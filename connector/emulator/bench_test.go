package emulator_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ucwarden/connector/emulator"
)

// BenchmarkMillionTables serves permissions of 1,000,000 tables to 64 connections. It reports the memory that the tables take
// (the goal is 2 GiB), and requests per second (10,000 or more), which client and server share the machine for.
func BenchmarkMillionTables(b *testing.B) {
	size := emulator.Size{Catalogs: 20, Schemas: 50, Tables: 1000}
	before := heap()
	srv, err := emulator.New(emulator.Options{Seed: emulator.Generate(size), Tokens: map[string]string{admin: "admin@example.com"}, TraceSize: 1000})
	if err != nil {
		b.Fatal(err)
	}
	used := heap() - before
	running, err := srv.Start("")
	if err != nil {
		b.Fatal(err)
	}
	defer running.Shutdown(b.Context())
	var paths []string // one table of each schema
	for _, c := range srv.State().Catalogs {
		for _, s := range c.Schemas {
			paths = append(paths, fmt.Sprintf("/api/2.1/unity-catalog/permissions/table/%s.%s.%s", c.Name, s.Name, s.Tables[len(paths)%len(s.Tables)].Name))
		}
	}
	address := strings.TrimPrefix(running.URL, "http://")

	const connections = 64
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range connections {
		all.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			reader := bufio.NewReader(conn)
			for {
				i := int(next.Add(1))
				if i > b.N {
					return
				}
				if err := get(conn, reader, address, paths[i%len(paths)]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(used)/(1<<20), "MiB")
}

// get sends one request and reads its answer, with less work than http.Client makes.
func get(conn net.Conn, reader *bufio.Reader, host, path string) error {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, host, admin); err != nil {
		return err
	}
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return nil
}

// heap returns the bytes of memory in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
