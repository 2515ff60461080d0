package endpoint

import (
	"net"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := "http://" + l.Addr().String()
	if err := Reach(t.Context(), server, time.Minute); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, server := range []string{server, "http://127.0.0.1:bad"} {
		if err := Reach(t.Context(), server, time.Minute); err == nil {
			t.Errorf("%s is reached", server)
		}
	}
}
