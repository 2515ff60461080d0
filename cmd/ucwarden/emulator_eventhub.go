package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/ondemand/eventhub/emulator"
	"ucwarden/policy"
)

// eventHubFlags describe an emulated event hub.
type eventHubFlags struct {
	addr, tlsCert, tlsKey string
	options               emulator.Options
}

func newEventHubCommand(a *app) *cobra.Command {
	var f eventHubFlags
	cmd := &cobra.Command{
		Use:   "eventhub",
		Short: "Serve an in-memory Azure event hub until interrupted",
		Long: `Serve one Azure event hub in memory over AMQP 1.0 until interrupted, for the clients of the Azure SDK. Its connection
string is the only line of standard output.`,
		Example: `  ucwarden emulator eventhub --hub tasks
  ucwarden emulator eventhub --addr 127.0.0.1:5672 --hub tasks --partitions 8 --consumer-group ucwarden --key c2VjcmV0`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.serveEventHub(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:5672", "host:port to listen on; port 0 takes a free one")
	flags.StringVar(&f.options.Hub, "hub", "tasks", "name of the event hub")
	flags.IntVar(&f.options.Partitions, "partitions", 4, "number of partitions")
	flags.StringArrayVar(&f.options.ConsumerGroups, "consumer-group", nil, "consumer group beside $Default; may be repeated")
	flags.StringVar(&f.options.Key, "key", "", "key of the access policy; default: one is made up")
	flags.BoolVar(&f.options.GeoReplicated, "geo-replicated", false, "write offsets as geo-replicated hubs do")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "certificate file, PEM: serve TLS")
	flags.StringVar(&f.tlsKey, "tls-key", "", "private key file of --tls-cert, PEM")
	return cmd
}

// serveEventHub runs the emulator until ctx ends.
func (a *app) serveEventHub(ctx context.Context, f eventHubFlags) error {
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return usageErrorf("--tls-cert and --tls-key belong together")
	}
	if f.tlsCert != "" {
		certificate, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
		if err != nil {
			return policy.Errorf(policy.CodeInvalid, "--tls-cert %s: %w", f.tlsCert, err)
		}
		f.options.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	f.options.Logger = a.logger(config.Log{Level: a.logLevel, Format: a.logFormat})
	server, err := emulator.New(f.options)
	if err != nil {
		return policy.Errorf(policy.CodeInvalid, "%w", err)
	}
	if err := server.Start(f.addr); err != nil {
		return policy.Errorf(policy.CodeUnavailable, "%w", err)
	}
	result := struct {
		ConnectionString string `json:"connectionString"`
	}{server.ConnectionString()}
	err = a.print(result, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, result.ConnectionString)
		return err
	})
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, server.Close())
}
