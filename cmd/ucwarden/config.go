package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ucwarden/config"
)

func newConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:        "config",
		SuggestFor: []string{"validate", "check"},
		Short:      "Show the configuration and its keys",
		GroupID:    groupSetup,
		Long: `Configuration comes from one YAML file (--config), overridden by the environment, overridden by
flags. Every key has a structured name (databricks.host), an environment name
(UCWARDEN_DATABRICKS_HOST) and, some of them, the property name that Privacera-style managers
write (CONNECTOR_...), which works in the file and in the environment alike.`,
		Args: wantArgs(),
		RunE: needSubcommand,
	}
	cmd.AddCommand(newConfigShowCommand(a), newConfigCheckCommand(a), newConfigKeysCommand(a))
	return cmd
}

// loadPart reads the configuration for a command that needs a few values of it, whatever else is missing: making keys
// must work before the keys are configured.
func (a *app) loadPart() (*config.Config, error) {
	c, err := a.loadQuietly()
	if c != nil {
		return c, nil
	}
	return nil, err
}

// needSubcommand is run for a command that does nothing by itself.
func needSubcommand(cmd *cobra.Command, _ []string) error {
	return usageErrorf("%s: say which: %s", cmd.CommandPath(), strings.Join(subcommands(cmd), ", "))
}

func subcommands(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

func newConfigShowCommand(a *app) *cobra.Command {
	var changed bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the merged configuration, secrets masked, and where each value came from",
		Long: `Print the merged configuration, secrets masked, and where each value came from. What is wrong with it
follows on standard error, and the exit code is 78.`,
		Args: wantArgs(),
		RunE: func(*cobra.Command, []string) error {
			c, problems := a.loadQuietly()
			if c == nil {
				return problems
			}
			for _, w := range c.Warnings() {
				fmt.Fprintf(a.stderr, "warning: %s\n", visibleText(w))
			}
			if keys := c.WithoutEffect(); len(keys) > 0 {
				fmt.Fprintf(a.stderr, "warning: these keys have no effect yet: %s\n", strings.Join(keys, ", "))
			}
			if err := c.CheckServe(); err != nil {
				fmt.Fprintf(a.stderr, "warning: serve will refuse this: %s\n", visibleText(err.Error()))
			}
			settings := []config.Setting{}
			for _, s := range c.Settings() {
				if !changed || s.Source.Kind != config.FromDefault {
					settings = append(settings, s)
				}
			}
			err := show(a, &settings, func(w io.Writer) error {
				rows := make([][]string, len(settings))
				for i, s := range settings {
					rows[i] = []string{s.Key, s.Text(), s.Source.String()}
				}
				return printTable(w, []string{"key", "value", "from"}, rows)
			})
			if err != nil {
				return err
			}
			return problems
		},
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "only values that are not the default")
	return cmd
}

// keyInfo is a key as config keys prints it.
type keyInfo struct {
	Key        string   `json:"key"`
	Env        string   `json:"env"`
	FileEnv    string   `json:"fileEnv,omitempty"` // of a file that holds the secret
	Properties []string `json:"properties,omitempty"`
	Type       string   `json:"type"`
	Words      []string `json:"words,omitempty"`
	Default    string   `json:"default"`
	Help       string   `json:"help"`
	NoEffect   bool     `json:"noEffect,omitempty"`
}

func newConfigKeysCommand(a *app) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "keys [TEXT]",
		Short: "List every key with its names, default and meaning; TEXT picks those that contain it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			infos := []keyInfo{}
			for _, k := range config.Keys() {
				info := keyInfo{k.Name, k.Env(), k.FileEnv(), k.Properties, string(k.Type), k.Enum, k.Default, k.Help, k.NoEffect()}
				if len(args) == 0 || info.contains(args[0]) {
					infos = append(infos, info)
				}
			}
			if len(infos) == 0 {
				return fmt.Errorf("no key contains %q, in its names or meaning", args[0])
			}
			asText := printKeys
			if markdown {
				asText = printKeysMarkdown
			}
			return show(a, &infos, func(w io.Writer) error { return asText(w, infos) })
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "as a Markdown table")
	return cmd
}

func (k keyInfo) contains(text string) bool {
	all := strings.Join(append([]string{k.Key, k.Env, k.Help}, k.Properties...), "\n")
	return strings.Contains(strings.ToLower(all), strings.ToLower(text))
}

// meaning is the help, and whether the daemon reads the key at all.
func (k keyInfo) meaning() string {
	if k.NoEffect {
		return k.Help + " (no effect on the daemon yet)"
	}
	return k.Help
}

func printKeys(w io.Writer, infos []keyInfo) error {
	for i, k := range infos {
		if i > 0 {
			fmt.Fprintln(w)
		}
		kind := k.Type
		if len(k.Words) > 0 {
			kind = strings.Join(k.Words, "|")
		}
		if k.Default != "" {
			kind += ", default " + k.Default
		}
		fmt.Fprintf(w, "%s (%s)\n    %s\n    %s\n", k.Key, kind, k.meaning(), k.Env)
		if k.FileEnv != "" {
			fmt.Fprintf(w, "    %s, a file that holds it\n", k.FileEnv)
		}
		for _, p := range k.Properties {
			fmt.Fprintf(w, "    %s\n", p)
		}
	}
	return nil
}

func printKeysMarkdown(w io.Writer, infos []keyInfo) error {
	fmt.Fprintln(w, "| key | type | default | property | meaning |\n| --- | --- | --- | --- | --- |")
	for _, k := range infos {
		kind := k.Type
		if len(k.Words) > 0 {
			kind = strings.Join(k.Words, ", ")
		}
		fallback := ""
		if k.Default != "" {
			fallback = "`" + k.Default + "`"
		}
		properties := make([]string, len(k.Properties))
		for i, p := range k.Properties {
			properties[i] = "`" + p + "`"
		}
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", k.Key, kind, fallback, strings.Join(properties, " "), k.meaning()); err != nil {
			return err
		}
	}
	return nil
}
