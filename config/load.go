package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/viper"

	"ucwarden/endpoint"
	"ucwarden/input"
)

// Options says where to load from.
type Options struct {
	// File is the path of a YAML file with our keys, connector properties, or both; "" means none.
	File string
	// Environ holds NAME=value pairs, as os.Environ returns them. Empty values count as unset.
	Environ []string
	// Flags are values of the command line; a later one replaces an earlier one of the same key.
	Flags []Flag
}

// Flag is a value given on the command line.
type Flag struct {
	Key   string // structured name
	Value string
	Name  string // name of the flag, for messages: --log-level
}

// Load merges the defaults, the file, the environment and the flags, in this order, and checks the result. The error is
// an [*Error] with every problem found; no problem text contains a secret. Where each value is valid and only their
// combination is not, or where all that is wrong is a secret that cannot be read, Load returns the Config together with the
// error, for commands that print it or need part of it.
func Load(o Options) (*Config, error) {
	l := newLoader()
	var fromFile []fileEntry
	if o.File != "" {
		fromFile = readFile(o.File, &l.problems)
	}
	file := l.parseLayer(l.resolveFile(fromFile))
	env := l.parseLayer(l.resolveEnv(o.Environ))
	l.warnUnusedProperties()
	flags := l.parseLayer(l.resolveFlags(o.Flags))
	l.takeQuery(flags, env, file)
	if len(l.problems) > len(l.unread) {
		return nil, l.failure()
	}
	for _, v := range l.unread {
		env[v.key.Name] = layerValue{Secret{}, v.from} // not one of the file, which it was to replace
	}
	c, err := l.merge(file, env, flags)
	if err != nil {
		return nil, err
	}
	c.file, c.secretFiles = o.File, l.secretFiles
	var combined problems
	c.validate(&combined)
	if len(l.unread) == 0 { // else what is missing in combinations is what could not be read
		l.problems = combined
	}
	return c, l.failure()
}

// loader holds the tables of names, and the problems and warnings of a load.
type loader struct {
	keys       []Key
	byName     map[string]*Key
	byEnv      map[string]*Key
	byProperty map[string]*Key
	problems   problems
	warnings   []string
	misspelt   []string // those of them about variables whose name is probably misspelt
	unused     []Source // unknown properties
	// emptyFilters are properties that bound what is changed by a list, and hold none.
	emptyFilters []Source

	secretFiles []SecretFile
	unread      []resolvedValue // secrets whose files could not be read, which is a problem each
}

func newLoader() *loader {
	l := &loader{keys: Keys(), byName: map[string]*Key{}, byEnv: map[string]*Key{}, byProperty: map[string]*Key{}}
	for i := range l.keys {
		k := &l.keys[i]
		l.byName[k.Name], l.byEnv[k.Env()] = k, k
		for _, p := range k.Properties {
			l.byProperty[p] = k
		}
	}
	return l
}

// resolvedValue is an unparsed value with its key.
type resolvedValue struct {
	key  *Key
	raw  rawValue
	from Source
}

// layerValue is a parsed value of one layer.
type layerValue struct {
	value any
	from  Source
}

// parseLayer parses the values of one layer, and returns them by key name. A key set by two names must have one value.
func (l *loader) parseLayer(all []resolvedValue) map[string]layerValue {
	values := make(map[string]layerValue, len(all))
	for _, g := range all {
		v, problem := g.key.parseValue(g.raw)
		if problem != "" {
			l.problems.add(g.key.Name, g.from, "%s", problem)
			continue
		}
		if before, dup := values[g.key.Name]; dup && g.from.Kind != FromFlag && !equalValues(before.value, v) {
			l.problems.add(g.key.Name, g.from, "two values: %s and %s mean the same key; keep one", before.from.givenName(), g.from.givenName())
			continue
		}
		values[g.key.Name] = layerValue{v, g.from}
	}
	return values
}

func equalValues(a, b any) bool {
	switch a := a.(type) {
	case Secret:
		return a.Equal(b.(Secret))
	case []string:
		return slices.Equal(a, b.([]string))
	}
	return a == b
}

func (l *loader) resolveFile(entries []fileEntry) []resolvedValue {
	var all []resolvedValue
	for _, e := range entries {
		if len(l.problems) > maxProblems {
			break // probably not a configuration; searching near names would take long
		}
		switch k := l.byName[e.name]; {
		case k != nil:
			all = append(all, resolvedValue{k, e.raw, e.from})
		case strings.HasPrefix(e.name, propertyPrefix):
			// Policy managers write every property, most of them empty.
			switch k, empty := l.byProperty[e.name], isUnset(e.raw); {
			case k == nil:
				l.unknownProperty(e.name, e.raw, e.from)
			case empty && k.isFilter() || e.raw.isList && len(e.raw.list) == 0 && k.isFilter():
				l.emptyFilters = append(l.emptyFilters, e.from)
			case !empty && (k.isFilter() || e.raw.isList || strings.TrimSpace(e.raw.text) != ""):
				all = append(all, resolvedValue{k, e.raw, e.from})
			}
		case l.byEnv[e.name] != nil:
			l.problems.add(e.name, e.from, "unknown key: this is its name in the environment, in a file it is %s", l.byEnv[e.name].Name)
		default:
			l.problems.add(e.name, e.from, "unknown key; did you mean %s?", l.nearestInFile(e.name))
		}
	}
	return all
}

// nearestInFile returns the key that an unknown name of a file may mean, or the property, where it is written like those.
func (l *loader) nearestInFile(name string) string {
	head, _, _ := strings.Cut(name, "_")
	if input.Distance(strings.ToUpper(head)+"_", propertyPrefix) <= 2 {
		near, _ := nearest(name, slices.Sorted(maps.Keys(l.byProperty)))
		return near
	}
	near, _ := nearest(name, slices.Sorted(maps.Keys(l.byName)))
	return near
}

// nearlyOurs returns the variable, and its key, that one is meant to be whose name begins almost like ours do; nil where it is
// none.
func (l *loader) nearlyOurs(name string) (meant string, k *Key) {
	head, rest, _ := strings.Cut(strings.ToUpper(name), "_")
	for prefix, known := range map[string]map[string]*Key{envPrefix: l.byEnv, propertyPrefix: l.byProperty} {
		if !strings.HasPrefix(name, prefix) && input.Distance(head+"_", prefix) <= 2 && known[prefix+rest] != nil {
			return prefix + rest, known[prefix+rest]
		}
	}
	return "", nil
}

// isUnset reports whether a value is there and empty.
func isUnset(r rawValue) bool { return !r.isList && r.text == "" }

// unknownProperty records an unknown property, warns where its name is probably a misspelling, and refuses one that looks
// like a limit.
func (l *loader) unknownProperty(name string, raw rawValue, from Source) {
	prefix := propertyPrefix
	if strings.HasPrefix(name, unityPrefix) {
		prefix = unityPrefix
	}
	if near, looks := looksLikeLimit(name, prefix, l.byProperty); looks && !isUnset(raw) {
		l.refuseLimit(name, near, from)
		return
	}
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
	if from.Kind == FromFile || prefix == unityPrefix && !isUnset(raw) { // other connectors may have theirs in our environment
		l.unused = append(l.unused, from)
	}
}

// warnUnusedProperties warns, in a line for the file and one for the environment, of the properties that are not used; there
// may be hundreds.
func (l *loader) warnUnusedProperties() {
	warn := func(list []Source, what string) {
		const most = 5
		byPlace := make(map[string][]string)
		for _, from := range list {
			place, name := "env", shorten(from.Name, 100)
			if from.Kind == FromFile {
				place, name = from.File, fmt.Sprintf("%s (line %d)", name, from.Line)
			}
			byPlace[place] = append(byPlace[place], name)
		}
		for _, place := range slices.Sorted(maps.Keys(byPlace)) {
			names, more := byPlace[place], ""
			if len(names) > most {
				names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
			}
			l.warn("%s: %s: %s%s", place, what, strings.Join(names, ", "), more)
		}
	}
	warn(l.emptyFilters, "lists that are there and empty bound nothing")
	warn(l.unused, "connector properties that are not used")
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, endpoint.MaskURLs(fmt.Sprintf(format, args...)))
}

// resolveEnv returns the values of known variables. Unknown ones that begin with UCWARDEN_ are not an error: Kubernetes
// sets UCWARDEN_PORT and the like for a service of that name.
func (l *loader) resolveEnv(environ []string) []resolvedValue {
	var all []resolvedValue
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(pair, "=")
		r, from := rawValue{text: text}, Source{Kind: FromEnv, Name: name}
		k := cmp.Or(l.byEnv[name], l.byProperty[name])
		if strings.TrimSpace(text) == "" && (text == "" || k == nil || !k.isFilter()) {
			if k != nil && k.isFilter() {
				l.emptyFilters = append(l.emptyFilters, from)
			}
			continue
		}
		near, looks := "", false
		if k == nil && strings.HasPrefix(name, envPrefix) && !l.isFileVariable(name) {
			near, looks = looksLikeLimit(name, envPrefix, l.byEnv)
		}
		meant, ours := l.nearlyOurs(name)
		switch {
		case looks:
			l.refuseLimit(name, near, from)
		case ours != nil && ours.limits():
			l.refuseLimit(name, meant, from)
		case ours != nil:
			l.warnMisspelt("env: variable %s is not used; did you mean %s?", name, meant)
		case k != nil:
			all = append(all, resolvedValue{k, r, from})
		case l.isFileVariable(name):
			all = append(all, l.secretFromFile(name, text)...)
		case strings.HasPrefix(name, propertyPrefix):
			l.unknownProperty(name, r, from)
		case strings.HasPrefix(name, envPrefix):
			near, distance := nearest(name, l.variables())
			if isNearMiss(strings.TrimPrefix(name, envPrefix), distance) {
				l.warnMisspelt("env: unknown variable %s is not used; did you mean %s?", name, near)
			}
		}
	}
	return all
}

// variables lists the variables that are read, with those that name the file of a secret.
func (l *loader) variables() []string {
	names := slices.Collect(maps.Keys(l.byEnv))
	for name, k := range l.byEnv {
		if k.Type == TypeSecret {
			names = append(names, name+fileSuffix)
		}
	}
	slices.Sort(names)
	return names
}

func (l *loader) warnMisspelt(format string, args ...any) {
	l.warn(format, args...)
	l.misspelt = append(l.misspelt, l.warnings[len(l.warnings)-1])
}

// failure returns the problems of the load, if there are any, and with them the variables that are probably misspelt: what
// one of them was to set is likely what is missing.
func (l *loader) failure() error {
	if len(l.problems) > 0 {
		for _, text := range l.misspelt {
			l.problems = append(l.problems, Problem{Message: text})
		}
	}
	return l.problems.err()
}

func (l *loader) resolveFlags(flags []Flag) []resolvedValue {
	var all []resolvedValue
	for _, f := range flags {
		from := Source{Kind: FromFlag, Name: f.Name}
		k := l.byName[f.Key]
		switch {
		case k == nil:
			near, _ := nearest(f.Key, slices.Sorted(maps.Keys(l.byName)))
			l.problems.add(f.Key, from, "unknown key; did you mean %s?", near)
		case k.Type == TypeSecret:
			l.problems.add(f.Key, from, "a secret on the command line can be read by every user of the machine: put it in the file or in %s, or the path of a file in %s", k.Env(), k.Env()+fileSuffix)
		default:
			all = append(all, resolvedValue{k, rawValue{text: f.Value}, from})
		}
	}
	return all
}

// merge returns a Config filled by viper from the defaults and the layers.
func (l *loader) merge(file, env, flags map[string]layerValue) (*Config, error) {
	v := viper.New()
	c := &Config{warnings: l.warnings}
	for _, k := range l.keys {
		fallback, problem := k.parseValue(rawValue{text: k.Default})
		if problem != "" && k.Default != "" {
			return nil, fmt.Errorf("default of %s: %s", k.Name, problem)
		}
		setting := Setting{Key: k.Name, Type: k.Type, Value: fallback, Source: Source{Kind: FromDefault}}
		for _, layer := range []map[string]layerValue{file, env, flags} {
			if given, ok := layer[k.Name]; ok {
				setting.Value, setting.Source = given.value, given.from
			}
		}
		v.SetDefault(k.field(), fallback)
		c.settings = append(c.settings, setting)
	}
	for _, layer := range []map[string]layerValue{file, env} {
		if err := v.MergeConfigMap(l.nestKeys(layer)); err != nil {
			return nil, fmt.Errorf("merge configuration: %w", err)
		}
	}
	for name, given := range flags {
		v.Set(l.byName[name].field(), given.value)
	}
	if err := v.UnmarshalExact(c); err != nil {
		return nil, fmt.Errorf("fill in configuration: %w", err)
	}
	return c, nil
}

// nestKeys turns a.b.c: v into a: {b: {c: v}}.
func (l *loader) nestKeys(layer map[string]layerValue) map[string]any {
	root := make(map[string]any)
	for name, given := range layer {
		parts := strings.Split(l.byName[name].field(), ".")
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
