package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/endpoint"
	"ucwarden/policy"
)

// app is what every command needs of the process: its streams, its environment and the global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string

	configFile string
	output     string
	sets       []string
	logLevel   string
	logFormat  string

	running bool // the command line was understood, and the command began
}

// The groups of commands in the help.
const (
	groupSync  = "sync"
	groupTasks = "tasks"
	groupSetup = "setup"
)

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "ucwarden",
		Short: "Keep Unity Catalog in sync with access policies",
		Long: `ucwarden keeps Databricks Unity Catalog in sync with centrally written access policies:
it reads Ranger-style policies, reads what Unity Catalog grants today, works out the
difference, and applies it.

Try it without a workspace: ucwarden demo`,
		Version:       buildVersion(),
		Args:          wantArgs(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // report prints them, once
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains(outputs, a.output) {
				return usageErrorf("-o %s: want one of %s", a.output, strings.Join(outputs, ", "))
			}
			for _, set := range a.sets {
				if !strings.Contains(set, "=") {
					return usageErrorf("--set %s: want KEY=VALUE, for example --set sync.mode=observe", set)
				}
			}
			a.running = true
			return nil
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupSync, Title: "Bring a workspace into sync:"},
		&cobra.Group{ID: groupTasks, Title: "Talk to a running daemon:"},
		&cobra.Group{ID: groupSetup, Title: "Set up and try out:"},
	)

	flags := root.PersistentFlags()
	flags.StringVarP(&a.configFile, "config", "c", "", "configuration file, YAML (or UCWARDEN_CONFIG)")
	flags.StringVarP(&a.output, "output", "o", "text", "form of the result: text or json")
	flags.StringArrayVar(&a.sets, "set", nil, "set one configuration key, KEY=VALUE; may be repeated")
	flags.StringVar(&a.logLevel, "log-level", "", "least severe log line: debug, info, warn or error")
	flags.StringVar(&a.logFormat, "log-format", "", "form of log lines on standard error: text or json")
	completeWords(root, "output", outputs)
	completeWords(root, "log-level", []string{"debug", "info", "warn", "error"})
	completeWords(root, "log-format", []string{"text", "json"})
	mustComplete(root, "set", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []string
		for _, k := range config.Keys() {
			if k.Type != config.TypeSecret {
				names = append(names, cobra.CompletionWithDesc(k.Name+"=", k.Help))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})

	root.AddCommand(commands(a)...)
	root.AddCommand(newExitCodesTopic())
	root.SetHelpCommandGroupID(groupSetup)
	root.SetCompletionCommandGroupID(groupSetup)
	refuseUnknownTopics(root)
	return root
}

// refuseUnknownTopics makes help and completion, which cobra brings, fail as other commands do: cobra's own print the help and
// end with 0, whatever was asked for.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Args, cmd.RunE = wantArgs(), needSubcommand
		case "help":
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				topic, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return unknownCommand(topic, args[len(args)-max(len(rest), 1)])
				}
				topic.InitDefaultHelpFlag()
				return topic.Help()
			}
		}
	}
}

// commands makes every subcommand, each from its own file.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newServeCommand(a),
		newPlanCommand(a),
		newSyncCommand(a),
		newAuditCommand(a),
		newDemoCommand(a),
		newPipelineCommand(a),
		newTaskCommand(a),
		newStoreCommand(a),
		newKeysCommand(a),
		newTokenCommand(a),
		newEmulatorCommand(a),
		newPolicyCommand(a),
		newDoctorCommand(a),
		newConfigCommand(a),
		newVersionCommand(a),
	}
}

// completeWords offers the words for a flag.
func completeWords(cmd *cobra.Command, flag string, words []string) {
	mustComplete(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// mustComplete registers a completion; it fails only for a flag that does not exist, which is our mistake.
func mustComplete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err)
	}
}

// load reads the configuration: the file of --config, the environment, --set and the other global flags, then more
// flags of the command. Warnings of the configuration are logged with the logger it describes.
func (a *app) load(more ...config.Flag) (*config.Config, *slog.Logger, error) {
	c, err := a.loadQuietly(more...)
	if err != nil {
		return nil, nil, err
	}
	return c, a.loggerOf(c), nil
}

// loggerOf makes the logger that c describes, and logs what c warns of.
func (a *app) loggerOf(c *config.Config) *slog.Logger {
	log := a.logger(c.Log)
	for _, w := range c.Warnings() {
		log.Warn("configuration: " + w)
	}
	return log
}

// warnWithoutEffect says in one line which keys were set although nothing reads them yet.
func warnWithoutEffect(c *config.Config, log *slog.Logger) {
	if keys := c.WithoutEffect(); len(keys) > 0 {
		log.Warn("configuration: these keys have no effect yet", "keys", strings.Join(keys, ", "))
	}
}

// loadOnce is load for a command that works once, for a person who waits: unless a level was asked for, only what is
// wrong is logged.
func (a *app) loadOnce() (*config.Config, *slog.Logger, error) {
	c, err := a.loadQuietly()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range c.Settings() {
		if s.Key == "log.level" && s.Source.Kind == config.FromDefault {
			c.Log.Level = "warn"
		}
	}
	return c, a.loggerOf(c), nil
}

func (a *app) loadQuietly(more ...config.Flag) (*config.Config, error) {
	file := a.configFile
	if file == "" {
		file = a.getenv("UCWARDEN_CONFIG")
	}
	var flags []config.Flag
	for _, set := range a.sets {
		key, value, _ := strings.Cut(set, "=")
		flags = append(flags, config.Flag{Key: strings.TrimSpace(key), Value: value, Name: "--set"})
	}
	if a.logLevel != "" {
		flags = append(flags, config.Flag{Key: "log.level", Value: a.logLevel, Name: "--log-level"})
	}
	if a.logFormat != "" {
		flags = append(flags, config.Flag{Key: "log.format", Value: a.logFormat, Name: "--log-format"})
	}
	c, err := config.Load(config.Options{File: file, Environ: a.environ, Flags: append(flags, more...)})
	if err == nil {
		err = checkScope(c)
	}
	return c, err
}

// checkScope returns what is wrong with the scope that the package of configurations, which knows no privileges, cannot tell.
func checkScope(c *config.Config) error {
	_, err := policy.NewScope(scopeOptions(c))
	if err == nil {
		return nil
	}
	problem := config.Problem{Message: err.Error()}
	if key, text, found := strings.Cut(problem.Message, ": "); found {
		for _, s := range c.Settings() {
			if s.Key == key {
				problem = config.Problem{Key: key, Source: s.Source, Message: text}
			}
		}
	}
	return &config.Error{Problems: []config.Problem{problem}}
}

// logger makes the process's logger, on standard error.
func (a *app) logger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // config knows the words
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: maskAttr}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.stderr, options))
}

// maskAttr masks the passwords of URLs in log lines, in whatever a library put into them.
func maskAttr(_ []string, attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString:
		if text := attr.Value.String(); strings.Contains(text, "://") {
			attr.Value = slog.StringValue(endpoint.MaskURLs(text))
		}
	case slog.KindAny:
		text := fmt.Sprint(attr.Value.Any())
		if masked := endpoint.MaskURLs(text); masked != text {
			attr.Value = slog.StringValue(masked)
		}
	}
	return attr
}

// getenv returns the last value of a variable, as the system does.
func (a *app) getenv(name string) string {
	for _, pair := range slices.Backward(a.environ) {
		if n, value, ok := strings.Cut(pair, "="); ok && n == name {
			return value
		}
	}
	return ""
}
