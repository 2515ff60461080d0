package eventhub

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azpolicy "github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/go-amqp"

	"ucwarden/policy"
)

// Address says which hub, and how to authenticate: by a connection string, or by Entra ID.
type Address struct {
	ConnectionString string
	Hub              string // where the connection string has no EntityPath, and with Entra ID

	Namespace    string // of Entra ID: NAME.servicebus.windows.net, or NAME alone
	TenantID     string // default: AZURE_TENANT_ID
	ClientID     string // default: AZURE_CLIENT_ID
	ClientSecret string // where it is empty, workload identity is used

	Credential azcore.TokenCredential // takes the place of tenant, client and secret
	Endpoint   string                 // host:port to connect to, where it is not that of the namespace
	TLS        *tls.Config            // default: that of the system
}

// connector makes clients of one hub.
type connector struct {
	a          Address
	namespace  string
	hub        string
	credential *tokens // nil: the connection string authenticates
}

// tokens is a credential that remembers whether Entra ID owes an answer: a call that ends at its deadline meanwhile does
// not say so.
type tokens struct {
	azcore.TokenCredential
	owed atomic.Bool
}

// GetToken implements azcore.TokenCredential.
func (t *tokens) GetToken(ctx context.Context, o azpolicy.TokenRequestOptions) (azcore.AccessToken, error) {
	t.owed.Store(true)
	token, err := t.TokenCredential.GetToken(ctx, o)
	if err == nil || ctx.Err() == nil {
		t.owed.Store(false)
	}
	return token, err
}

// The application that the service sees, and how often the client itself tries again: what takes longer is ours to do, so
// that it is said.
const (
	applicationID = "ucwarden"
	maxRetries    = 2
)

var retries = azeventhubs.RetryOptions{MaxRetries: maxRetries, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: time.Second}

// newConnector checks an address. It does not connect.
func newConnector(a Address) (*connector, error) {
	if a.ConnectionString == "" {
		return newEntraConnector(a)
	}
	if a.Namespace != "" {
		return nil, policy.Errorf(policy.CodeInvalid, "both ondemand.eventhub.connection_string and .namespace are set: keep one")
	}
	parsed, err := azeventhubs.ParseConnectionString(a.ConnectionString)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.connection_string: %w", err)
	}
	c := &connector{a: a, namespace: parsed.FullyQualifiedNamespace, hub: a.Hub}
	if parsed.EntityPath != nil && *parsed.EntityPath != "" {
		if a.Hub != "" && a.Hub != *parsed.EntityPath {
			return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.name %q is not the EntityPath %q of the connection string: keep one", a.Hub, *parsed.EntityPath)
		}
		c.hub, c.a.Hub = *parsed.EntityPath, ""
	}
	if host, _, err := net.SplitHostPort(c.namespace); err == nil && !parsed.Emulator {
		// The client would look for a certificate of host and port.
		c.a.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if a.TLS != nil {
			c.a.TLS = a.TLS.Clone()
		}
		c.a.TLS.ServerName = host
	}
	if c.hub == "" {
		return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.name is missing: the connection string has no EntityPath")
	}
	return c, nil
}

func newEntraConnector(a Address) (*connector, error) {
	if a.Namespace == "" {
		return nil, policy.Errorf(policy.CodeInvalid, "no event hub is configured: set ondemand.eventhub.connection_string, or .namespace and .name for Entra ID")
	}
	if a.Hub == "" {
		return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.name is missing")
	}
	c := &connector{a: a, namespace: strings.ToLower(a.Namespace), hub: a.Hub}
	if !strings.Contains(c.namespace, ".") {
		c.namespace += ".servicebus.windows.net"
	}
	credential, err := a.Credential, error(nil)
	switch {
	case credential != nil:
	case a.ClientSecret != "":
		tenant, client := cmp.Or(a.TenantID, os.Getenv("AZURE_TENANT_ID")), cmp.Or(a.ClientID, os.Getenv("AZURE_CLIENT_ID"))
		credential, err = azidentity.NewClientSecretCredential(tenant, client, a.ClientSecret, nil)
	default:
		credential, err = azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{TenantID: a.TenantID, ClientID: a.ClientID})
	}
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "ondemand.eventhub.entra: set tenant_id, client_id and client_secret, or run where workload identity sets AZURE_FEDERATED_TOKEN_FILE: %w", err)
	}
	c.credential = &tokens{TokenCredential: credential}
	return c, nil
}

// consumer returns a client that reads. It does not connect yet.
func (c *connector) consumer(group string) (*azeventhubs.ConsumerClient, error) {
	o := &azeventhubs.ConsumerClientOptions{ApplicationID: applicationID, RetryOptions: retries, CustomEndpoint: c.a.Endpoint, TLSConfig: c.a.TLS}
	if c.credential != nil {
		return azeventhubs.NewConsumerClient(c.namespace, c.hub, group, c.credential, o)
	}
	return azeventhubs.NewConsumerClientFromConnectionString(c.a.ConnectionString, c.a.Hub, group, o)
}

// producer returns a client that sends. It does not connect yet.
func (c *connector) producer() (*azeventhubs.ProducerClient, error) {
	o := &azeventhubs.ProducerClientOptions{ApplicationID: applicationID, RetryOptions: retries, CustomEndpoint: c.a.Endpoint, TLSConfig: c.a.TLS}
	if c.credential != nil {
		return azeventhubs.NewProducerClient(c.namespace, c.hub, c.credential, o)
	}
	return azeventhubs.NewProducerClientFromConnectionString(c.a.ConnectionString, c.a.Hub, o)
}

// call runs f with a deadline, and returns at the deadline even where f does not: some calls of the client ignore it.
func call[T any](ctx context.Context, timeout time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f(ctx)
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// Failure is why a hub cannot be used, in words.
type Failure struct {
	What string // is wrong; the same text for the same cause
	Do   string // about it
	Err  error  // of the client
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %s (%v)", f.What, f.Do, f.Err) }

// Unwrap returns the cause, as what policy.CodeOf says to be worth another try.
func (f *Failure) Unwrap() error { return policy.Errorf(policy.CodeUnavailable, "%w", f.Err) }

// describe returns a Failure that says what to fix.
func (c *connector) describe(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	const connection = "ondemand.eventhub.connection_string"
	text := err.Error()
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	failure, isClient := errors.AsType[*azeventhubs.Error](err)
	_, isEntra := errors.AsType[*azidentity.AuthenticationFailedError](err)
	refused := isClient && failure.Code == azeventhubs.ErrorCodeUnauthorizedAccess || has("status code 401", "amqp:unauthorized-access")
	switch {
	case isEntra && has("dial tcp", "no such host", "i/o timeout", "deadline exceeded", "connection reset", "EOF", "x509:", "tls:"),
		c.credential != nil && c.credential.owed.Load() && errors.Is(err, context.DeadlineExceeded):
		return &Failure{"Entra ID, which issues the token for the event hub, cannot be reached", "check that this machine resolves and reaches its host (login.microsoftonline.com, or that of AZURE_AUTHORITY_HOST) over HTTPS", err}
	case isEntra || c.credential != nil && has("AADSTS"):
		return &Failure{"Entra ID issues no token for the event hub", "check ondemand.eventhub.entra (tenant_id, client_id, client_secret)", err}
	case refused && c.credential != nil:
		return &Failure{"the event hub refuses the token of Entra ID", "give the service principal a role on the hub: Azure Event Hubs Data Receiver to read, Data Sender to publish", err}
	case refused && has("ExpiredToken", "token is expired", "token has expired"):
		return &Failure{"the event hub refuses the shared access signature, which has expired", "put a new SharedAccessSignature, or a key, into " + connection, err}
	case refused:
		return &Failure{"the event hub refuses the key", "check SharedAccessKeyName and SharedAccessKey of " + connection + ", and what its policy may do: Listen to read, Send to publish", err}
	case has("amqp:not-found", "could not be found"):
		return &Failure{"there is no such event hub or consumer group", "check ondemand.eventhub.name (or EntityPath of the connection string), here " +
			c.hub + ", and ondemand.eventhub.consumer_group", err}
	case has("no such host", "server misbehaving"):
		return &Failure{"the namespace " + c.namespace + " does not resolve", "check Endpoint of " + connection + ", or ondemand.eventhub.namespace, and DNS", err}
	case errors.Is(err, errStuck):
		return &Failure{"a partition of the event hub delivers nothing although it holds events",
			"it is opened again by itself; if that does not help, look for a proxy or firewall that keeps connections open and drops what they carry", err}
	case has("does not look like a TLS handshake"):
		return &Failure{"the event hub does not speak TLS", "check Endpoint of " + connection + "; that of an emulator without TLS needs UseDevelopmentEmulator=true", err}
	case has("x509:", "tls:"):
		return &Failure{"the certificate of the event hub is not trusted", "check Endpoint of " + connection + "; a proxy between may need its own authority in SSL_CERT_FILE", err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{"the event hub did not answer in time", "check the network: AMQP needs port 5671", err}
	}
	if answer, ok := errors.AsType[*amqp.Error](err); ok { // so it can be reached
		return &Failure{"the event hub refuses the request", "see its answer: " + string(answer.Condition) + ": " + answer.Description, err}
	}
	return &Failure{"the event hub " + c.namespace + " cannot be used", "check that it can be reached (AMQP needs port 5671)", err}
}
