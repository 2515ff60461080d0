package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ucwarden/apiserver/client"
	"ucwarden/config"
	"ucwarden/endpoint"
)

// clientFlags say which daemon to talk to and with which token.
type clientFlags struct {
	server, token, tokenFile, caFile string
	certFile, keyFile                string
	allowHTTP                        bool
}

func (f *clientFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.server, "server", "", "URL of the REST API (or UCWARDEN_SERVER; default: from apiserver.addr)")
	flags.StringVar(&f.token, "token", "", "bearer token (or UCWARDEN_TOKEN; a file keeps it from other users' eyes)")
	flags.StringVar(&f.tokenFile, "token-file", "", "file that holds the token (or UCWARDEN_TOKEN_FILE)")
	flags.BoolVar(&f.allowHTTP, "allow-http", false, "send the token over plain http to a server that is not this machine (or UCWARDEN_SERVER_ALLOW_HTTP=true)")
	flags.StringVar(&f.certFile, "client-cert", "", "PEM file of our certificate, for a server that asks for one (apiserver.tls.client_ca)")
	flags.StringVar(&f.keyFile, "client-key", "", "PEM file of the private key of --client-cert")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM file of certificate authorities to trust instead of the system's")
}

// client makes a client from the flags, the environment and the configuration.
func (f *clientFlags) client(a *app) (*client.Client, error) {
	token, err := f.findToken(a)
	if err != nil {
		return nil, err
	}
	server := f.server
	if server == "" {
		server = a.getenv("UCWARDEN_SERVER")
	}
	if server == "" {
		c, err := a.loadPart()
		if err != nil {
			return nil, err
		}
		server = localURL(c.APIServer)
	}
	o := client.Options{BaseURL: server, Token: token, AllowHTTP: f.allowHTTP || a.getenv("UCWARDEN_SERVER_ALLOW_HTTP") == "true", UserAgent: "ucwarden/" + buildVersion()}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities: %w", err)
		}
		o.RootCAs = x509.NewCertPool()
		if !o.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificate authorities: no PEM certificate in %s", f.caFile)
		}
	}
	if (f.certFile == "") != (f.keyFile == "") {
		return nil, usageErrorf("--client-cert and --client-key belong together")
	}
	if f.certFile != "" {
		o.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
			if err != nil {
				return nil, fmt.Errorf("load --client-cert: %w", err)
			}
			return &cert, nil
		}
	}
	c, err := client.New(o)
	if plain, ok := errors.AsType[*endpoint.PlainTextError](err); ok {
		plain.Setting, plain.AllowedBy = "--server", "--allow-http"
		return nil, &usageError{plain}
	}
	if err != nil {
		return nil, usageErrorf("--server: %w", err)
	}
	return c, nil
}

func (f *clientFlags) findToken(a *app) (string, error) {
	file := f.tokenFile
	switch {
	case f.token != "" && file != "":
		return "", usageErrorf("--token and --token-file exclude one another")
	case f.token != "":
		return f.token, nil
	case file == "" && a.getenv("UCWARDEN_TOKEN") != "":
		return a.getenv("UCWARDEN_TOKEN"), nil
	case file == "":
		file = a.getenv("UCWARDEN_TOKEN_FILE")
	}
	if file == "" {
		return "", withHint(errors.New("no token for the REST API"),
			"give --token-file or set UCWARDEN_TOKEN; make one with: ucwarden token issue")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", withHint(fmt.Errorf("%s holds no token: want one line without blanks", file), "make one with: ucwarden token issue")
	}
	return token, nil
}

// localURL is where a daemon with this configuration is reached from the same machine.
func localURL(c config.APIServer) string {
	scheme := "http"
	if c.TLS.Cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil { // checked by config
		host, port = "", "8282"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// clientHint returns what to do about an error of the REST client; "" when there is nothing to say.
func clientHint(err error) string {
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return "start one with: ucwarden serve, or name another with --server"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "name the authority that signed the server's certificate with --ca-file"
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the server there speaks plain http: write http:// in --server"
	}
	refused, ok := errors.AsType[*client.Error](err)
	switch {
	case ok && refused.Status == http.StatusUnauthorized:
		return "the token is not accepted: make one with: ucwarden token issue"
	case ok && refused.Status == http.StatusForbidden:
		return "the token lacks the scope or the catalog: see ucwarden token issue --help"
	case ok && refused.Problem.Type == "":
		return "this is no answer of ucwarden: check --server, whether it is https:// or http:// there, and proxies in between"
	}
	return ""
}
