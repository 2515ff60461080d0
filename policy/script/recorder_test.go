package script_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy/match"
	"ucwarden/policy/script"
)

func TestRecorder(t *testing.T) {
	var r script.Recorder
	run := func(source string) error {
		s, err := r.Compile(source)
		if err == nil {
			_, err = s.Met(&match.Values{User: "ann"})
		}
		return err
	}
	for _, source := range []string{"true", "(", "x.y", "x.y", "REQ.accessType == 'select'"} {
		_ = run(source)
	}
	var failed []string
	for _, f := range r.Failures() {
		failed = append(failed, f.Source)
	}
	if want := []string{"(", "x.y"}; !slices.Equal(failed, want) {
		t.Errorf("failed: %q, want %q", failed, want)
	}
	if w := r.Warnings(); len(w) != 2 || w[1] != `script "x.y": ReferenceError: x is not defined (line 1, column 1)` {
		t.Errorf("warnings %q", w)
	}

	for _, source := range []string{"USER._name", "USER._name", "ctx.result = true; 0", "false"} {
		_ = run(source)
	}
	if w := r.Warnings(); len(w) != 4 || w[2] != `script "USER._name": its value is "ann", which is neither true nor false, so that ctx.result counts, as in Ranger` || !strings.Contains(w[3], "its value is 0,") {
		t.Errorf("warnings %q", w)
	}

	// Each script that has to be ended is run once, and after four no other is.
	for n := range 40 {
		want := match.ErrScriptBounds
		if n%20 >= 4 {
			want = match.ErrScriptNotRun
		}
		if err := run(fmt.Sprintf("'x'.repeat(1 << 28) //%d", n%20)); !errors.Is(err, want) {
			t.Fatalf("script %d: %v", n, err)
		}
	}
	if err := run("true"); !errors.Is(err, match.ErrScriptNotRun) {
		t.Errorf("a script is run after four had to be ended: %v", err)
	}
	if n, warnings := r.NotRun(), r.Warnings(); n != 17 || len(warnings) != 9 {
		t.Errorf("%d not run, warnings %q", n, warnings)
	}
}
