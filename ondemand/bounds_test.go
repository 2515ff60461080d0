package ondemand

import (
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
)

// A page ends by the size of its tasks, too, and the pages together hold each task once.
func TestPagesAreBoundedByBytes(t *testing.T) {
	r := newRig(t, Options{})
	const tasks, size = 40, 400 << 10
	for i := range tasks {
		r.submit(Task{ID: fmt.Sprintf("t%02d", i), Type: "x", Source: strings.Repeat("s", size)})
	}
	for name, visible := range map[string]func(Task) bool{"all": nil, "even": func(t Task) bool { return t.ID[2]%2 == 0 }} {
		seen := make(map[string]bool)
		for f := (Filter{Limit: maxLimit, Visible: visible}); ; {
			page, err := r.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(page.Items) * size; n > maxPage+size {
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

// Unknown fields are kept up to a size, wherever in the document they are.
func TestUnknownFieldsAreBounded(t *testing.T) {
	const task = `{"type":"RESOURCE_SYNC","a":"%s","requestInfo":{"b":"%s","resources":[{"type":"catalog","values":{"catalog":"c"},"x":"%s"}]}}`
	fill := strings.Repeat("z", maxExtra/3)
	if _, err := ParseTask(fmt.Appendf(nil, task, fill, fill, "small")); err != nil {
		t.Error(err)
	}
	if _, err := ParseTask(fmt.Appendf(nil, task, fill, fill, fill)); policy.CodeOf(err) != policy.CodeTooLarge {
		t.Errorf("error %v", err)
	}
}
