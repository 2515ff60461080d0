package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/apiserver/keys"
)

func newKeysCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "Make signing keys for the REST API",
		GroupID: groupSetup,
		Args:    wantArgs(),
		RunE:    needSubcommand,
	}
	cmd.AddCommand(newKeysGenerateCommand(a))
	return cmd
}

func newKeysGenerateCommand(a *app) *cobra.Command {
	var o keys.GenerateOptions
	token := tokenFlags{ttl: keys.DefaultTTL}
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make a key pair, its public JWKS and a first token",
		Long: `Make a key pair and write, under DIR/INSTANCE/api-server: the private key (readable by its owner
only), the public keys (` + keys.JWKSFile + `) for apiserver.jwt.jwks, and a first token, which is valid for a day
unless --ttl says otherwise, and may do everything unless --scope, --catalog or --pipeline say otherwise. With --once, for what runs at every start, a key pair that is there already is left as it is.`,
		Example: "  ucwarden keys generate --instance instance1 --out keys",
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := token.check(cmd); err != nil {
				return err
			}
			c, err := a.loadPart()
			if err != nil {
				return err
			}
			o.Token = token.options(c.APIServer.JWT)
			if o.Once && (o.Force || o.Rotate) {
				return usageErrorf("--once cannot be combined with --force or --rotate")
			}
			made, err := keys.Generate(o)
			if err != nil {
				return err
			}
			result := struct {
				PrivateKey string `json:"privateKey"`
				JWKS       string `json:"jwks"`
				Token      string `json:"token"`
				KeyID      string `json:"keyId,omitempty"`

				Expires time.Time `json:"tokenExpires,omitzero"`
			}{made.PrivateKey, made.JWKS, made.Token, made.KeyID, time.Now().Add(o.Token.TTL).UTC().Truncate(time.Second)}
			if made.KeyID == "" { // they were there
				result.Expires = time.Time{}
			}
			return show(a, &result, func(w io.Writer) error {
				if made.KeyID == "" {
					_, err := fmt.Fprintf(w, "keys of %s are there already: %s\n", o.Instance, made.PrivateKey)
					return err
				}
				_, err := fmt.Fprintf(w, "private key  %s\npublic keys  %s\ntoken        %s, until %s\nkey id       %s\n\nserve with   --set apiserver.jwt.jwks=%s\ncall with    --token-file %s\n",
					made.PrivateKey, made.JWKS, made.Token, moment(result.Expires), made.KeyID, made.JWKS, made.Token)
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Instance, "instance", "instance1", "name of the instance the keys are for")
	flags.StringVar(&o.Dir, "out", ".", "folder to write to")
	flags.StringVar(&o.Algorithm, "algorithm", "ES256", "ES256 or EdDSA")
	flags.BoolVar(&o.Force, "force", false, "replace existing files; tokens of the old key are refused from then on")
	flags.BoolVar(&o.Rotate, "rotate", false, "make a new key and keep the old public ones, so that their tokens stay good")
	flags.BoolVar(&o.Once, "once", false, "do nothing where the keys are there already")
	token.register(cmd)
	completeWords(cmd, "algorithm", []string{"ES256", "EdDSA"})
	return cmd
}

// tokenFlags describe a token to sign.
type tokenFlags struct {
	subject          string
	scopes, catalogs []string
	pipelines        []string
	ttl              time.Duration
	issuer, audience string
}

func (t *tokenFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&t.subject, "subject", "", "who the token is for (sub)")
	flags.StringSliceVar(&t.scopes, "scope", nil, "scopes: "+scopeWords()+"; may be repeated")
	flags.StringSliceVar(&t.catalogs, "catalog", nil, "limit the token to catalogs of this pattern; may be repeated")
	flags.StringSliceVar(&t.pipelines, "pipeline", nil, "let the token update pipelines whose id or name has this pattern; may be repeated")
	flags.DurationVar(&t.ttl, "ttl", t.ttl, "how long the token is valid")
	flags.StringVar(&t.issuer, "issuer", "", "iss claim (default: apiserver.jwt.issuer)")
	flags.StringVar(&t.audience, "audience", "", "aud claim (default: apiserver.jwt.audience)")
	completeWords(cmd, "scope", strings.Split(scopeWords(), ", "))
}

// check refuses flags that are given and say nothing: an empty limit would be none.
func (t *tokenFlags) check(cmd *cobra.Command) error {
	for name, list := range map[string][]string{"catalog": t.catalogs, "pipeline": t.pipelines, "scope": t.scopes} {
		blank := slices.ContainsFunc(list, func(item string) bool { return strings.TrimSpace(item) == "" })
		if cmd.Flags().Changed(name) && (len(list) == 0 || blank) {
			return usageErrorf("%s: --%s is empty, so the token would not be limited by it; name something, or leave it out", cmd.CommandPath(), name)
		}
	}
	if t.ttl <= 0 {
		return usageErrorf("%s: --ttl %v: a token must be valid for some time", cmd.CommandPath(), t.ttl)
	}
	return nil
}

func scopeWords() string {
	return strings.Join([]string{string(keys.ScopeWrite), string(keys.ScopeRead), string(keys.ScopeAdmin)}, ", ")
}
