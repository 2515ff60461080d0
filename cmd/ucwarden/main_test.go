package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// With the race detector a process waits a second before it exits, for reports that may come. Many are run here.
	if err := os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=20")); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"ucwarden": main})
}

// TestScripts runs the real program: each file of testdata/script is a session at a shell, with its golden output.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setUp,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:                scriptCommands,
		Deadline:            time.Now().Add(5 * time.Minute), // a program that should have ended is then named, and not the whole suite ended
	})
}
