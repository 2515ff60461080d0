package queue

import (
	"fmt"
	"strings"
	"testing"

	"ucwarden/ondemand"
)

// A page ends by the size of its tasks, too, and the pages together hold each task once.
func TestPagesAreBoundedByBytes(t *testing.T) {
	r := newRig(t, Options{})
	const tasks, size = 40, 400 << 10
	for i := range tasks {
		r.submit(ondemand.Task{ID: fmt.Sprintf("t%02d", i), Type: "x", Source: strings.Repeat("s", size)})
	}
	for name, visible := range map[string]func(ondemand.Task) bool{"all": nil, "even": func(t ondemand.Task) bool { return t.ID[2]%2 == 0 }} {
		seen := make(map[string]bool)
		for f := (ondemand.Filter{Limit: 1000, Visible: visible}); ; {
			page, err := r.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(page.Items) * size; n > 4<<20+size {
				t.Errorf("%s: a page of %d bytes", name, n)
			}
			for _, task := range page.Items {
				if seen[task.ID] {
					t.Errorf("%s: task %s is on two pages", name, task.ID)
				}
				seen[task.ID] = true
			}
			if f.Cursor = page.NextCursor; f.Cursor == "" {
				break
			}
		}
		if want := map[string]int{"all": tasks, "even": tasks / 2}[name]; len(seen) != want {
			t.Errorf("%s: %d tasks of %d", name, len(seen), want)
		}
	}
}
