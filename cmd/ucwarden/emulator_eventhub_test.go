package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"ucwarden/ondemand/eventhub"
)

// The hub is served until the command is interrupted; its connection string, alone on a line, names where.
func TestEventHubCommand(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, stdout := io.Pipe()
	root := newRootCommand(&app{stdout: stdout, stderr: io.Discard})
	root.SetArgs([]string{"emulator", "eventhub", "--addr", "127.0.0.1:0", "--hub", "h", "--partitions", "2", "--consumer-group", "g", "--key", "k"})
	ended := make(chan error, 1)
	go func() {
		err := root.ExecuteContext(ctx)
		_ = stdout.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("no line: %v", <-ended)
	}
	form := regexp.MustCompile(`^Endpoint=sb://(127\.0\.0\.1:\d+);SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=k;EntityPath=h;UseDevelopmentEmulator=true$`)
	m := form.FindStringSubmatch(lines.Text())
	if m == nil {
		t.Fatalf("printed %q", lines.Text())
	}
	conn, err := net.Dial("tcp", m[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	header := []byte("AMQP\x00\x01\x00\x00")
	got := make([]byte, len(header))
	if _, err := conn.Write(header); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, header) {
		t.Errorf("answered %q, %v", got, err)
	}
	interrupt()
	if lines.Scan() {
		t.Errorf("printed a second line %q", lines.Text())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Faults begin by a flag, and begin and end by requests from other processes.
func TestEventHubFaults(t *testing.T) {
	t.Parallel()
	hub := startHub(t, 2)
	control := httptest.NewServer(hub)
	defer control.Close()
	ask := func(method, path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, control.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	address := eventhub.Address{ConnectionString: hub.ConnectionString()}
	if code, body := ask(http.MethodPost, "/_emulator/faults/reject-cbs"); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, body)
	}
	if _, err := eventhub.Check(t.Context(), address, "$Default", time.Minute); err == nil {
		t.Error("the fault has no effect")
	}
	if code, body := ask(http.MethodDelete, "/_emulator/faults/reject-cbs"); code != http.StatusNoContent {
		t.Fatalf("%d %s", code, body)
	}
	if _, err := eventhub.Check(t.Context(), address, "$Default", time.Minute); err != nil {
		t.Errorf("the fault was ended, and yet: %v", err)
	}
	if code, _ := ask(http.MethodPost, "/_emulator/faults/odd-bodies:1"); code != http.StatusNoContent {
		t.Errorf("%d", code)
	}
	if code, body := ask(http.MethodGet, "/_emulator/status"); code != http.StatusOK || !strings.Contains(body, `"events":{"0":0,"1":8}`) {
		t.Errorf("%d %s", code, body)
	}
	for path, method := range map[string]string{"/_emulator/faults/misfortune": http.MethodPost, "/_emulator/faults/kill": http.MethodDelete,
		"/_emulator/faults/expire:99": http.MethodPost, "/_emulator/faults/mute:": http.MethodPost, "/_emulator/faults/kill:0": http.MethodPost} {
		if code, _ := ask(method, path); code != http.StatusBadRequest {
			t.Errorf("%s %s: %d", method, path, code)
		}
	}
}
