package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/connector/protection"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/directory"
	"ucwarden/policy/explain"
	"ucwarden/policy/rules"
	"ucwarden/policy/script"
)

func newPolicyExplainCommand(a *app) *cobra.Command {
	var (
		flags                policyFlags
		principal, securable string
		privileges           []string
		offline              bool
	)
	cmd := &cobra.Command{
		Use:   "explain --principal P --securable TYPE:NAME",
		Short: "Say who gets what on an object, and why",
		Long: `Say which privileges a user, group or role gets on an object, and why: the policy item that decides,
what excepts or overrides others, the grants the policies compile to and where they are placed, what
Unity Catalog cannot express, and, where a workspace is configured, what it grants today.

A principal is named as policies or Unity Catalog name it; user:, group: or role: before the name
says which is meant. Offline, view: and model: before an object's name tell what it is.`,
		Example: `  ucwarden policy explain --principal ann@example.com --securable table:sales.emea.orders
  ucwarden policy explain --principal group:analysts --securable schema:sales.emea --privilege SELECT
  ucwarden policy explain --policies policies/ --principal ann@example.com --securable view:sales.emea.v --offline`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			now, err := flags.at()
			if err != nil {
				return err
			}
			if principal == "" || securable == "" {
				return usageErrorf("%s: say --principal and --securable", cmd.CommandPath())
			}
			question := explain.Question{Principal: principal}
			if question.Object, err = parseObject(securable); err != nil {
				return err
			}
			for _, p := range privileges {
				x := policy.Privilege(strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(p)))
				if !policy.IsPrivilege(x) {
					return usageErrorf("--privilege %s: Unity Catalog has no such privilege", p)
				}
				question.Privileges = append(question.Privileges, x)
			}
			c, log, err := flags.load(a)
			if err != nil {
				return err
			}
			snapshot, err := flags.snapshot(cmd.Context(), c, log)
			if err != nil {
				return err
			}
			options := timed(compileOptions(c), now)
			notes, err := a.askWorkspace(cmd.Context(), c, log, offline, &question, &options)
			if err != nil {
				return err
			}
			var scripts script.Recorder
			rules, err := rules.New(snapshot, rules.Options{Names: nameMapping(c), Scripts: scripts.Compile})
			if err != nil {
				return fmt.Errorf("read the policies: %w", err)
			}
			answer, err := explain.Explain(rules, options, question)
			if err != nil {
				return err
			}
			answer.Notes = slices.Concat(notes, answer.Notes, scripts.Warnings())
			bodies := make([]string, len(answer.Enforced)) // they have lines, which show takes for one text
			for i, e := range answer.Enforced {
				for line := range strings.Lines(e.Body) {
					bodies[i] += "    " + visibleText(strings.TrimSuffix(line, "\n")) + "\n"
				}
			}
			return show(a, &answer, func(w io.Writer) error { return a.printExplanation(w, answer, bodies) })
		},
	}
	flags.register(cmd, "time at which to judge validity and conditions")
	cmd.Flags().StringVar(&principal, "principal", "", "user, group or role")
	cmd.Flags().StringVar(&securable, "securable", "", "object, TYPE:NAME")
	cmd.Flags().StringSliceVar(&privileges, "privilege", nil, "privilege to explain (default: all that the object takes); may be repeated")
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the workspace what is there today")
	completeWords(cmd, "privilege", privilegeWords())
	return cmd
}

func privilegeWords() []string {
	var words []string
	for _, t := range policy.SecurableTypes {
		for _, p := range policy.Privileges(t, "") {
			words = append(words, string(p))
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// kindWords tell kinds of object that securable types do not.
var kindWords = map[string]policy.Kind{
	"VIEW": policy.KindView, "MATERIALIZED_VIEW": policy.KindMaterializedView, "STREAMING_TABLE": policy.KindStreamingTable,
	"MODEL": policy.KindModel, "REGISTERED_MODEL": policy.KindModel,
}

func parseObject(text string) (policy.Object, error) {
	s, err := policy.ParseSecurable(text)
	if err != nil {
		return policy.Object{}, &usageError{fmt.Errorf("--securable: %w", err)}
	}
	word, _, _ := strings.Cut(text, ":")
	return policy.Object{Securable: s, Kind: kindWords[strings.ToUpper(strings.ReplaceAll(word, "-", "_"))]}, nil
}

// askWorkspace completes a question with what the scope and the workspace say: what is ours to manage, the object's
// kind and owner, and the grants of today on it and on its containers. The notes say what could not be asked.
func (a *app) askWorkspace(ctx context.Context, c *config.Config, log *slog.Logger, offline bool, q *explain.Question, o *compile.Options) (notes []string, err error) {
	managed := scopeOptions(c)
	var client *unitycatalog.Client
	switch {
	case offline:
	case c.Databricks.Host == "":
		notes = append(notes, "no workspace is configured, so what it grants today is not shown")
	default:
		workspace, err := openWorkspace(ctx, c, log, nil)
		if err != nil {
			return nil, withHint(err, "to do without the workspace: --offline")
		}
		defer workspace.Close()
		me, err := workspace.Whoami(ctx)
		if err != nil {
			return nil, withHint(err, "to do without the workspace: --offline")
		}
		managed.Protected = append(managed.Protected, me.Principal.Name)
		client = workspace
	}
	scope, err := policy.NewScope(managed)
	if err != nil {
		return nil, err
	}
	o.Manages, q.Includes, q.LeavesAlone = scope.Manages, scope.Includes, scope.LeavesAlone
	if !scope.Filters(q.Object.Securable) { // what would be granted is shown all the same, and that it is not made
		o.NotOurs = nil
	}
	if client == nil {
		return notes, nil
	}
	object, err := client.Get(ctx, q.Object.Securable)
	switch {
	case policy.CodeOf(err) == policy.CodeNotFound:
		notes = append(notes, "it does not exist in Unity Catalog today; this is what holds once it does")
	case err != nil:
		return nil, err
	default:
		q.Object = object
		notes = append(notes, askTable(ctx, c, client, q)...)
	}
	who := &directory.Directory{}
	if listing, err := client.Principals(ctx); err == nil {
		who = directory.New(listing)
	} else {
		notes = append(notes, fmt.Sprintf("the principals of the workspace could not be read, so the shape of names tells users from groups (%v)", err))
	}
	o.Directory = who
	q.Current = &policy.GrantSet{}
	for s, ok := q.Object.Securable, true; ok; s, ok = s.Parent() {
		grants, err := client.Grants(ctx, s)
		if err != nil && policy.CodeOf(err) != policy.CodeNotFound {
			return nil, err
		}
		for i := range grants {
			grants[i].Principal = who.Identify(grants[i].Name)
		}
		q.Current.Set(s, grants)
	}
	return notes, nil
}

// askTable completes a question about a table with what it carries, where a warehouse enforces row filters and masks.
func askTable(ctx context.Context, c *config.Config, client *unitycatalog.Client, q *explain.Question) (notes []string) {
	if c.Databricks.Warehouse == "" || q.Object.Type != policy.Table || !q.Object.Kind.CanBeProtected() {
		return nil
	}
	tables, err := client.Tables(ctx, q.Object.Securable)
	if err != nil || len(tables) != 1 {
		return []string{fmt.Sprintf("what protects the table cannot be read (%v); this is what holds while nothing does", err)}
	}
	q.Table, q.Protect = &tables[0], protectOptions(c)
	if q.Others, err = client.AttributePolicies(ctx, q.Object.Securable); err != nil {
		notes = append(notes, fmt.Sprintf("attribute-based policies of others on the table cannot be read (%v); where one filters or masks it, ours do not", err))
	}
	q.Functions = functionsOf(ctx, client, q.Table.Protection)
	if p := q.Table.Protection; p.Filter == nil && len(p.Masks) == 0 && q.Table.Unprotectable == "" {
		shared, err := client.Shared(ctx)
		q.Table.Unprotectable = protection.WhyShared(q.Table.Securable, shared)
		if err != nil {
			notes = append(notes, fmt.Sprintf("which tables are shared with others cannot be read (%v); one that is can be given no row filter or mask", err))
		}
	}
	return notes
}

// functionsOf reads the functions that a table carries. One that cannot be read, or is gone, is left out.
func functionsOf(ctx context.Context, client *unitycatalog.Client, p policy.Protection) map[string]policy.SQLFunction {
	carried := slices.Collect(maps.Values(p.Masks))
	if p.Filter != nil {
		carried = append(carried, *p.Filter)
	}
	found := make(map[string]policy.SQLFunction)
	for _, a := range carried {
		list, err := client.Functions(ctx, policy.Securable{Type: policy.Function, FullName: a.Function})
		if err == nil && len(list) == 1 {
			found[a.Function] = list[0]
		}
	}
	return found
}
