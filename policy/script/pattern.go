package script

import (
	"fmt"
	"regexp/syntax"
	"strings"

	"github.com/dop251/goja/parser"
)

// The bounds on a regular expression: on its source, and on its size with repetitions written out.
const (
	maxPattern     = 1024
	maxPatternSize = 2000
)

// patternSize returns about how many steps the expression takes for each character of a string. It refuses those that
// the interpreter would match by backtracking, which can take time exponential in the length of the string: look-around,
// references to groups, and large repetitions.
func patternSize(pattern, flags string) (int, error) {
	if len(pattern) > maxPattern {
		return 0, fmt.Errorf("a regular expression longer than %d bytes may not be used in policies", maxPattern)
	}
	translated, err := parser.TransformRegExp(pattern, strings.Contains(flags, "s"), strings.Contains(flags, "u"))
	if err != nil {
		return 0, fmt.Errorf("a regular expression with look-around, references or errors may not be used in policies: %w", err)
	}
	tree, err := syntax.Parse(translated, syntax.Perl)
	if err != nil {
		return 0, fmt.Errorf("regular expression: %w", err)
	}
	size := treeSize(tree)
	if size > maxPatternSize {
		return 0, fmt.Errorf("the repetitions in a regular expression amount to more than %d steps", maxPatternSize)
	}
	return size, nil
}

func treeSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size += len(re.Rune) / 16
	}
	for _, sub := range re.Sub {
		size += treeSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min, 1)
	}
	return min(size, 1<<20)
}
