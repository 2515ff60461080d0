package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/config"
	"ucwarden/ondemand/eventhub/emulator"
	"ucwarden/policy"
)

// eventHubFlags describe an emulated event hub.
type eventHubFlags struct {
	addr, control, tlsCert, tlsKey string
	faults                         []string
	options                        emulator.Options
}

func newEventHubCommand(a *app) *cobra.Command {
	var f eventHubFlags
	cmd := &cobra.Command{
		Use:   "eventhub",
		Short: "Serve an in-memory Azure event hub until interrupted",
		Long: `Serve one Azure event hub in memory over AMQP 1.0 until interrupted, for the clients of the Azure SDK. Its connection
string is the only line of standard output. Things go wrong when asked: at the start by --fault, and later by
POST /_emulator/faults/NAME on the address of --control, ended by DELETE where they last; GET /_emulator/status says how
many events and receivers there are, and how often the properties of hub and partitions were asked for.
The faults: ` + strings.Join(emulator.Faults(), ", ") + `. expire, mute and odd-bodies concern
one partition: mute:0.`,
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
	flags.BoolVar(&f.options.EntraID, "entra-id", false, "accept tokens of Entra ID too, whoever signed them")
	flags.StringVar(&f.control, "control", "", "host:port for requests that make things go wrong; port 0 takes a free one")
	flags.StringArrayVar(&f.faults, "fault", nil, "fault to begin with; may be repeated")
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
	for _, name := range f.faults {
		if err := server.Fault(name, true); err != nil {
			return usageErrorf("--fault: %w", err)
		}
	}
	if err := server.Start(f.addr); err != nil {
		return policy.Errorf(policy.CodeUnavailable, "%w", err)
	}
	if f.control != "" {
		stop, err := a.serveControl(f.control, server)
		if err != nil {
			return errors.Join(err, server.Close())
		}
		defer stop()
	}
	result := struct {
		ConnectionString string `json:"connectionString"`
	}{server.ConnectionString()}
	err = show(a, &result, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, result.ConnectionString)
		return err
	})
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, server.Close())
}

// serveControl serves requests that make things go wrong, and says where.
func (a *app) serveControl(addr string, server *emulator.Server) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "--control: %w", err)
	}
	control := &http.Server{Handler: server, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = control.Serve(l) }() // until stop
	fmt.Fprintf(a.stderr, "faults at http://%s/_emulator/faults/NAME\n", l.Addr())
	return func() { _ = control.Close() }, nil
}
