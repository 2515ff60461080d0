package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// outputs are the words that -o takes.
var outputs = []string{"text", "json"}

// show writes a result to standard output: as indented JSON with -o json, else by the given function, which prints what
// result points to then: it is changed so that each text of others in it is one line that shows every character; see visibleText.
func show[T any](a *app, result *T, asText func(w io.Writer) error) error {
	if a.output == "json" {
		return a.printJSON(result)
	}
	*result = visible(*result)
	b := bufio.NewWriter(a.stdout)
	err := asText(b)
	if flushErr := b.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("write result: %w", flushErr)
	}
	return err
}

func (a *app) printJSON(result any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// printTable writes rows under a header, in columns without borders.
func printTable(w io.Writer, header []string, rows [][]string) error {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Name = "plain"
	style.Options = table.Options{}
	style.Format.Header = text.FormatUpper
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(row(header))
	for _, r := range rows {
		t.AppendRow(row(r))
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

func row(cells []string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		r[i] = c
	}
	return r
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	if s, ok := w.(*stream); ok {
		w = s.to
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// paint colours s where standard output is a terminal, unless NO_COLOR is set (https://no-color.org).
func (a *app) paint(s string, colors ...text.Color) string {
	if !isTerminal(a.stdout) || a.getenv("NO_COLOR") != "" {
		return s
	}
	return text.Colors(colors).Sprint(s)
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
