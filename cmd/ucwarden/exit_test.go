package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestExitCodesOfEveryCommand holds that the script of exit codes leaves no command out, nor a code of the table, and that
// README has that table.
func TestExitCodesOfEveryCommand(t *testing.T) {
	read := func(file string) string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	script, readme := read("testdata/script/exit_codes.txtar"), strings.ReplaceAll(read("../../README.md"), "`", "")
	says := func(code int, command string) bool {
		return slices.ContainsFunc(strings.Split(script, "\n"), func(line string) bool {
			_, after, found := strings.Cut(line, fmt.Sprintf("code %d ", code))
			return found && strings.Contains(after+" ", command+" ")
		})
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.HasSubCommands() || !cmd.Runnable() || cmd.Hidden || cmd.Parent().Name() == "completion" {
			return
		}
		ended := exitOK
		if path := cmd.CommandPath(); path == "ucwarden serve" || strings.HasPrefix(path, "ucwarden emulator ") { // they run until interrupted
			ended = exitFailed
		}
		for _, code := range []int{ended, exitUsage} {
			if !says(code, cmd.CommandPath()) {
				t.Errorf("the script has no line: code %d %s", code, cmd.CommandPath())
			}
		}
	}
	visit(newRootCommand(&app{}))
	for _, e := range exitCodes {
		if !says(e.code, "ucwarden") {
			t.Errorf("the script has no line with code %d", e.code)
		}
		if row := fmt.Sprintf("\n| %d | %s |\n", e.code, e.meaning); !strings.Contains(readme, row) {
			t.Errorf("README has no row %q", row)
		}
	}
}
