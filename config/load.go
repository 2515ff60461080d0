package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// Options say where to load from.
type Options struct {
	// File is the path of a YAML file: our keys, connector properties, or both. Empty means none.
	File string
	// Environ holds NAME=value pairs, as os.Environ gives them. Empty values count as unset.
	Environ []string
	// Flags are values of the command line; a later one replaces an earlier one of the same key.
	Flags []Flag
}

// Flag is a value given on the command line.
type Flag struct {
	Key   string // structured name
	Value string
	Name  string // how the flag is called, for messages: --log-level
}

// Load merges the defaults, the file, the environment and the flags, in this order, and checks the result. An error
// is an [*Error] with every problem found; no problem text holds a secret. Where each value is sound and only their
// combination is not, the Config comes along with the error, to be shown or for a command that needs a part of it.
func Load(o Options) (*Config, error) {
	l := newLoader()
	var fromFile []entry
	if o.File != "" {
		fromFile = readFile(o.File, &l.problems)
	}
	file := l.layer(l.resolveFile(fromFile))
	env := l.layer(l.resolveEnv(o.Environ))
	flags := l.layer(l.resolveFlags(o.Flags))
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	c, err := l.merge(file, env, flags)
	if err != nil {
		return nil, err
	}
	c.finish(&l.problems)
	return c, l.problems.err()
}

// loader holds the tables of names and what a load finds.
type loader struct {
	keys       []Key
	byName     map[string]*Key
	byEnv      map[string]*Key
	byProperty map[string][]*Key
	problems   problems
	warnings   []string
	unused     []Source // of properties in the file
}

func newLoader() *loader {
	l := &loader{keys: Keys(), byName: map[string]*Key{}, byEnv: map[string]*Key{}, byProperty: map[string][]*Key{}}
	for i := range l.keys {
		k := &l.keys[i]
		l.byName[k.Name], l.byEnv[k.Env()] = k, k
		for _, p := range k.Properties {
			l.byProperty[p] = append(l.byProperty[p], k)
		}
	}
	return l
}

// given is a value whose key is known.
type given struct {
	key  *Key
	raw  raw
	from Source
}

// value is a parsed value of one layer.
type value struct {
	value any
	from  Source
}

// layer parses what one source gives. The same key by two names must have one value.
func (l *loader) layer(all []given) map[string]value {
	values := make(map[string]value, len(all))
	for _, g := range all {
		v, problem := g.key.parseValue(g.raw)
		if problem != "" {
			l.problems.add(g.key.Name, g.from, "%s", problem)
			continue
		}
		if before, dup := values[g.key.Name]; dup && g.from.Kind != FromFlag && !same(before.value, v) {
			l.problems.add(g.key.Name, g.from, "two values: %s and %s mean the same key; keep one", before.from.called(), g.from.called())
			continue
		}
		values[g.key.Name] = value{v, g.from}
	}
	return values
}

func same(a, b any) bool {
	switch a := a.(type) {
	case Secret:
		return a.Equal(b.(Secret))
	case []string:
		return slices.Equal(a, b.([]string))
	}
	return a == b
}

func (l *loader) resolveFile(entries []entry) []given {
	var all []given
	for _, e := range entries {
		if len(l.problems) > maxProblems {
			break // not a configuration at all; the search for near names would take long
		}
		switch k := l.byName[e.name]; {
		case k != nil:
			all = append(all, given{k, e.raw, e.from})
		case strings.HasPrefix(e.name, propertyPrefix):
			// Managers write every property they know, most of them empty.
			if k := l.route(e.name, e.raw); k != nil && (e.raw.isList || strings.TrimSpace(e.raw.text) != "") {
				all = append(all, given{k, e.raw, e.from})
			} else if k == nil {
				l.unknownProperty(e.name, e.from)
			}
		case l.byEnv[e.name] != nil:
			l.problems.add(e.name, e.from, "unknown key: this is its name in the environment, in a file it is %s", l.byEnv[e.name].Name)
		default:
			near, _ := nearest(e.name, slices.Sorted(maps.Keys(l.byName)))
			l.problems.add(e.name, e.from, "unknown key; did you mean %s?", near)
		}
	}
	l.warnUnused()
	return all
}

// route gives the key of a property; nil when it is not ours. Where a property is both a switch and a list, the
// value tells which.
func (l *loader) route(property string, r raw) *Key {
	keys := l.byProperty[property]
	for _, k := range keys {
		if k.Type == TypeBool && len(keys) > 1 {
			if _, problem := k.parseValue(r); problem != "" {
				continue
			}
		}
		return k
	}
	return nil
}

// unknownProperty notes a property that is not ours, and warns at once where the name is nearly one of ours.
func (l *loader) unknownProperty(name string, from Source) {
	if strings.HasPrefix(name, unityPrefix) {
		near, distance := nearest(name, slices.Sorted(maps.Keys(l.byProperty)))
		if isNearMiss(strings.TrimPrefix(name, unityPrefix), distance) {
			place := "env"
			if from.Kind == FromFile {
				place = fmt.Sprintf("%s:%d", from.File, from.Line)
			}
			l.warn("%s: unknown property %s is not used; did you mean %s?", place, name, near)
			return
		}
	}
	if from.Kind == FromFile {
		l.unused = append(l.unused, from)
	}
}

// warnUnused says in one line which properties of the file are not used: a manager's file holds hundreds.
func (l *loader) warnUnused() {
	const most = 5
	if len(l.unused) == 0 {
		return
	}
	var names []string
	for _, from := range l.unused[:min(most, len(l.unused))] {
		names = append(names, fmt.Sprintf("%s (line %d)", shorten(from.Name, 100), from.Line))
	}
	text := strings.Join(names, ", ")
	if more := len(l.unused) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	l.warn("%s: connector properties that are not used: %s", l.unused[0].File, text)
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

// resolveEnv takes our variables. Others that begin with UCWARDEN_ are no error: Kubernetes sets UCWARDEN_PORT and
// the like for a service of that name.
func (l *loader) resolveEnv(environ []string) []given {
	var all []given
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(pair, "=")
		if strings.TrimSpace(text) == "" {
			continue
		}
		r, from := raw{text: text}, Source{Kind: FromEnv, Name: name}
		switch k := cmp.Or(l.byEnv[name], l.route(name, r)); {
		case k != nil:
			all = append(all, given{k, r, from})
		case strings.HasPrefix(name, unityPrefix):
			l.unknownProperty(name, from)
		case strings.HasPrefix(name, envPrefix):
			near, distance := nearest(name, slices.Sorted(maps.Keys(l.byEnv)))
			if isNearMiss(strings.TrimPrefix(name, envPrefix), distance) {
				l.warn("env: unknown variable %s is not used; did you mean %s?", name, near)
			}
		}
	}
	return all
}

func (l *loader) resolveFlags(flags []Flag) []given {
	var all []given
	for _, f := range flags {
		from := Source{Kind: FromFlag, Name: f.Name}
		k := l.byName[f.Key]
		switch {
		case k == nil:
			near, _ := nearest(f.Key, slices.Sorted(maps.Keys(l.byName)))
			l.problems.add(f.Key, from, "unknown key; did you mean %s?", near)
		case k.Type == TypeSecret:
			l.problems.add(f.Key, from, "a secret on the command line can be read by every user of the machine: put it in the file or in %s", k.Env())
		default:
			all = append(all, given{k, raw{text: f.Value}, from})
		}
	}
	return all
}

// merge lets viper lay the layers over the defaults and fill in a Config.
func (l *loader) merge(file, env, flags map[string]value) (*Config, error) {
	v := viper.New()
	c := &Config{warnings: l.warnings}
	for _, k := range l.keys {
		fallback, problem := k.parseValue(raw{text: k.Default})
		if problem != "" && k.Default != "" {
			return nil, fmt.Errorf("default of %s: %s", k.Name, problem)
		}
		setting := Setting{Key: k.Name, Type: k.Type, Value: fallback, Source: Source{Kind: FromDefault}}
		for _, layer := range []map[string]value{file, env, flags} {
			if given, ok := layer[k.Name]; ok {
				setting.Value, setting.Source = given.value, given.from
			}
		}
		v.SetDefault(k.Name, fallback)
		c.settings = append(c.settings, setting)
	}
	for _, layer := range []map[string]value{file, env} {
		if err := v.MergeConfigMap(nest(layer)); err != nil {
			return nil, fmt.Errorf("merge configuration: %w", err)
		}
	}
	for name, given := range flags {
		v.Set(name, given.value)
	}
	if err := v.UnmarshalExact(c); err != nil {
		return nil, fmt.Errorf("fill in configuration: %w", err)
	}
	return c, nil
}

// nest turns a.b.c: v into a: {b: {c: v}}.
func nest(layer map[string]value) map[string]any {
	root := make(map[string]any)
	for name, given := range layer {
		parts := strings.Split(name, ".")
		at := root
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				next = make(map[string]any)
				at[part] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = given.value
	}
	return root
}
