package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"testing"
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
