package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/apiserver/keys"
	"ucwarden/config"
)

func newTokenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Make tokens for the REST API",
		GroupID: groupSetup,
		Args:    wantArgs(),
		RunE:    needSubcommand,
	}
	cmd.AddCommand(newTokenIssueCommand(a))
	return cmd
}

func newTokenIssueCommand(a *app) *cobra.Command {
	var keyFile, instance, dir string
	token := tokenFlags{ttl: keys.DefaultTTL}
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Sign a token and print it",
		Long: `Sign a token with a private key of keys generate (--key, or --instance and --dir) or, without one,
with the configured apiserver.jwt.hs256_secret, and print it. A token may start and stop
updates of pipelines only with --pipeline, since these cost money and a full refresh can lose data.`,
		Example: `  ucwarden token issue --dir keys --instance instance1 --subject airflow --scope tasks:write,tasks:read --catalog 'sales*'
  ucwarden token issue --dir keys --instance instance1 --subject nightly --pipeline 'etl_*'`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := token.check(cmd); err != nil {
				return err
			}
			c, err := a.loadPart()
			if err != nil {
				return err
			}
			o := token.options(c.APIServer.JWT)
			if o.Subject == "" {
				return usageErrorf("token issue: --subject is missing: say who the token is for")
			}
			if len(o.Scopes) == 0 {
				o.Scopes = []keys.Scope{keys.ScopeWrite, keys.ScopeRead}
			}
			if keyFile == "" && instance != "" {
				keyFile = filepath.Join(dir, instance, "api-server", keys.PrivateKeyFile)
			}
			switch secret := c.APIServer.JWT.HS256Secret; {
			case keyFile != "":
				if o.Key, err = keys.LoadPrivateKey(keyFile); err != nil {
					return withHint(err, "make keys with: ucwarden keys generate")
				}
			case secret.IsSet():
				o.HS256Secret = []byte(secret.Reveal())
			default:
				return usageErrorf("token issue: no key to sign with: give --key or --instance, or configure apiserver.jwt.hs256_secret")
			}
			signed, err := keys.Issue(o)
			if err != nil {
				return err
			}
			result := struct {
				Token   string    `json:"token"`
				Subject string    `json:"subject"`
				Expires time.Time `json:"expires"`
			}{signed, o.Subject, time.Now().Add(o.TTL).UTC().Truncate(time.Second)}
			return show(a, &result, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, signed)
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&keyFile, "key", "", "private key file, PEM")
	flags.StringVar(&instance, "instance", "", "instance whose private key signs")
	flags.StringVar(&dir, "dir", ".", "folder that keys generate wrote to")
	token.register(cmd)
	return cmd
}

// options returns the token's description; issuer and audience are the configured ones unless flags say otherwise.
func (t *tokenFlags) options(c config.JWT) keys.IssueOptions {
	o := keys.IssueOptions{
		Subject:  t.subject,
		Catalogs: t.catalogs, Pipelines: t.pipelines,
		TTL:      t.ttl,
		Issuer:   cmp.Or(t.issuer, c.Issuer),
		Audience: cmp.Or(t.audience, c.Audience),
	}
	for _, s := range t.scopes {
		o.Scopes = append(o.Scopes, keys.Scope(s))
	}
	return o
}
