package eventhub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	azpolicy "github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	"ucwarden/ondemand/eventhub/emulator"
)

// Bodies of every AMQP kind become one task each: SKIPPED with the reason, but for a document in several parts.
func TestOddBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.publish("0", document("before", "t"))
	n := r.hub.AddOddBodies("0")
	r.publish("0", document("after", "t"))
	_, stop := r.consume(r.o)
	all := r.awaitTasks(n + 2)
	stop()
	skipped := make(map[string]int)
	for _, task := range all {
		switch {
		case task.Status == ondemand.Skipped && task.Type == ondemand.UnknownType:
			reason, digest, _ := strings.Cut(task.StatusMessage, " (")
			skipped[reason]++
			if digest != "" { // the only body that is bytes
				skipped[digest]++
			}
		case task.Status != ondemand.New:
			t.Errorf("task %s: %s %q", task.ID, task.Status, task.StatusMessage)
		}
	}
	if a, b := skipped["the event is no task: its body is an AMQP value or sequence, not data"], skipped["the event is no task: it has no body"]; a != 4 || b != 3 {
		t.Errorf("skipped %v", skipped)
	}
	if digest := fmt.Sprintf("4 bytes, SHA-256 %x)", sha256.Sum256([]byte("text"))); len(skipped) != 3 || skipped[digest] != 1 {
		t.Errorf("skipped %v, want the digest of the text, and none of what is no bytes", skipped)
	}
	// Read once more from the start, they are the same tasks again.
	again := newRig(t, 1, 0)
	again.hub, again.o.ConnectionString, again.o.ConsumerGroup = r.hub, r.o.ConnectionString, "other"
	again.consume(again.o)
	ids := make(map[string]bool)
	for _, task := range all {
		ids[task.ID] = true
	}
	same := 0
	for _, task := range again.awaitTasks(n + 2) {
		if task.Type == ondemand.UnknownType && ids[task.ID] {
			same++
		}
	}
	if same != 7 {
		t.Errorf("%d of 7 events that are no tasks have the same id when they are read again", same)
	}
}

// An event as large as a hub takes makes a task whose record is small; deep JSON and unknown fields harm nobody.
func TestLargeEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	const nearly = 1<<20 - 2000
	r.publish("0", strings.Repeat("x", nearly))
	r.publish("0", `{"type":"RESOURCE_SYNC","more":"`+strings.Repeat("y", nearly)+`"}`)
	r.publish("0", strings.Repeat(`{"a":`, 50_000)+"1"+strings.Repeat("}", 50_000))
	r.publish("0", document("after", "t"))
	r.consume(r.o)
	for _, task := range r.awaitTasks(4) {
		data, err := json.Marshal(task)
		if err != nil || len(data) > 16<<10 {
			t.Errorf("task %s has %d bytes, %v", task.ID, len(data), err)
		}
		if (task.ID == "after") != (task.Status == ondemand.New) {
			t.Errorf("task %s: %s %q", task.ID, task.Status, task.StatusMessage)
		}
	}
}

// A consumer group that is not there is said once, however many partitions are tried how often.
func TestMissingGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, 0)
	r.o.ConsumerGroup, r.o.ReconnectEvery = "none", time.Nanosecond
	r.o.IdleCheck = deadline // a link that is not refused yet must not look like an idle one, however slow the machine is
	registry := prometheus.NewRegistry()
	r.o.Registerer = registry
	c, stop := r.consume(r.o)
	r.eventually(func() string {
		if n := gathered(t, registry, "ucwarden_eventhub_reconnects_total", "connection"); n < 3 {
			return fmt.Sprintf("%v connections", n)
		}
		return ""
	})
	if err := c.Problem(); err == nil || !strings.Contains(err.Error(), "ondemand.eventhub.consumer_group") {
		t.Errorf("problem %v", err)
	}
	stop()
	if n := r.logged.count("cannot read tasks"); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, r.logged.text.String())
	}
}

// gathered returns the sum of a metric over the series that have a label of that value.
func gathered(t *testing.T, g prometheus.Gatherer, name, label string) (sum float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == label {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// Metrics have good names, and count what is read, repeated and lags.
func TestMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 2)
	registry := prometheus.NewRegistry()
	r.o.Registerer = registry
	r.publish("0", document("a", "t"), document("a", "t"))
	r.consume(r.o)
	r.awaitTasks(1)
	r.publish("0", document("b", "t"), document("c", "t"))
	r.awaitTasks(2) // there is no room for the third
	for name, want := range map[[2]string]float64{
		{"ucwarden_eventhub_last_sequence", "0"}: 3, {"ucwarden_eventhub_read_sequence", "0"}: 2,
		{"ucwarden_eventhub_lag_events", "0"}: 1, {"ucwarden_eventhub_tasks_total", "repeated"}: 1, {"ucwarden_eventhub_tasks_total", "stored"}: 2,
	} {
		r.eventually(func() string {
			if got := gathered(t, registry, name[0], name[1]); got != want {
				return fmt.Sprintf("%s is %v, want %v", name, got, want)
			}
			return ""
		})
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// Of two daemons on one group, the loser does not take a partition back when connections are opened again;
// at most it reads while the winner is away.
func TestLoserKeepsWaiting(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.o.ReconnectEvery, r.o.IdleCheck = time.Nanosecond, 4*time.Second // a quarter of which a loser waits
	registry := prometheus.NewRegistry()
	r.o.Registerer = registry
	loser, _ := r.consume(r.o)
	r.publish("0", document("a", "t"))
	r.awaitTasks(1)
	winner := newRig(t, 1, 0)
	winner.hub, winner.o.ConnectionString = r.hub, r.o.ConnectionString
	winner.consume(winner.o)
	winner.awaitTasks(1)
	r.eventually(func() string {
		if loser.Problem() == nil {
			return "the loser does not know"
		}
		return ""
	})
	for i := range 3 {
		before := gathered(t, registry, "ucwarden_eventhub_reconnects_total", "connection")
		r.hub.KillConnections()
		r.publish("0", document(fmt.Sprint(i), "t"))
		winner.awaitTasks(2 + i)
		r.eventually(func() string {
			if gathered(t, registry, "ucwarden_eventhub_reconnects_total", "connection") == before && loser.Problem() == nil {
				return "the loser has not tried again"
			}
			return ""
		})
	}
	if n := winner.logged.count("another receiver"); n != 0 {
		t.Errorf("the winner lost the partition %d times:\n%s", n, winner.logged.text.String())
	}
}

// Receivers that are stolen by somebody who goes at once are opened again, and nothing is lost or twice.
func TestStolenReceivers(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 0)
	r.o.IdleCheck = 20 * time.Millisecond // how long a loser waits
	r.consume(r.o)
	for i := range 10 {
		r.publish(fmt.Sprint(i%2), document(fmt.Sprint(i), "t"))
		r.hub.StealReceivers()
	}
	r.awaitTasks(10)
}

// signature returns a shared access signature for a hub, as portals make them.
func signature(connectionString string, until time.Time) string {
	parts := make(map[string]string)
	for part := range strings.SplitSeq(connectionString, ";") {
		name, value, _ := strings.Cut(part, "=")
		parts[name] = value
	}
	resource := url.QueryEscape(strings.Replace(parts["Endpoint"], "sb://", "amqp://", 1) + "/" + parts["EntityPath"])
	expires := fmt.Sprint(until.Unix())
	mac := hmac.New(sha256.New, []byte(parts["SharedAccessKey"]))
	mac.Write([]byte(resource + "\n" + expires))
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return fmt.Sprintf("Endpoint=%s;SharedAccessSignature=SharedAccessSignature sr=%s&sig=%s&se=%s&skn=%s;EntityPath=%s;UseDevelopmentEmulator=true",
		parts["Endpoint"], resource, sig, expires, parts["SharedAccessKeyName"], parts["EntityPath"])
}

// A shared access signature is enough to read; one that has expired is named.
func TestSignature(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	r.publish("0", document("a", "t"))
	good := r.o.ConnectionString
	r.o.ConnectionString = signature(good, time.Now().Add(time.Hour))
	_, stop := r.consume(r.o)
	r.awaitTasks(1)
	stop()
	r.o.ConnectionString = signature(good, time.Now().Add(-time.Hour))
	c, _ := r.consume(r.o)
	r.eventually(func() string {
		if err := c.Problem(); err == nil || !strings.Contains(err.Error(), "expired") {
			return fmt.Sprintf("problem %v", err)
		}
		return ""
	})
}

// entra is a credential as azidentity makes them.
type entra struct {
	audience string
	err      error
	silent   bool // it does not answer
}

func (e entra) GetToken(ctx context.Context, o azpolicy.TokenRequestOptions) (azcore.AccessToken, error) {
	if e.silent {
		<-ctx.Done()
		return azcore.AccessToken{}, ctx.Err()
	}
	if e.err != nil {
		return azcore.AccessToken{}, e.err
	}
	if len(o.Scopes) != 1 || !strings.HasPrefix(o.Scopes[0], "https://eventhubs.azure.net/") {
		return azcore.AccessToken{}, fmt.Errorf("scopes %q", o.Scopes)
	}
	until := time.Now().Add(time.Hour)
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"aud":%q,"exp":%d}`, e.audience, until.Unix())
	return azcore.AccessToken{Token: encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature")), ExpiresOn: until}, nil
}

// secureHub serves a hub over TLS that accepts tokens of Entra ID.
func secureHub(t *testing.T) (hub *emulator.Server, trusts *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"ns.servicebus.windows.net"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	hub, err = emulator.New(emulator.Options{Hub: "tasks", Partitions: 1, EntraID: true,
		TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return hub, &tls.Config{RootCAs: roots}
}

// A connection string with a port is one for TLS, unless it says otherwise.
func TestTLS(t *testing.T) {
	t.Parallel()
	hub, trusts := secureHub(t)
	seen, err := eventhub.Check(t.Context(), eventhub.Address{ConnectionString: hub.ConnectionString(), TLS: trusts}, "$Default", 10*time.Second)
	if err != nil || seen.Hub != "tasks" || len(seen.Partitions) != 1 {
		t.Errorf("%+v, %v", seen, err)
	}
}

// With Entra ID, over TLS: a token for Event Hubs reads and sends; what is wrong is named.
func TestEntraID(t *testing.T) {
	t.Parallel()
	hub, trusts := secureHub(t)
	r := newRig(t, 1, 0)
	const audience = "https://eventhubs.azure.net"
	r.o.Address = eventhub.Address{Namespace: "ns", Hub: "tasks", Credential: entra{audience: audience}, Endpoint: hub.Addr(), TLS: trusts}
	if n, err := eventhub.Publish(t.Context(), r.o.Address, eventhub.PublishOptions{Partition: "0"}, []byte(document("a", "t"))); n != 1 || err != nil {
		t.Fatalf("sent %d, %v", n, err)
	}
	_, stop := r.consume(r.o)
	r.awaitTasks(1)
	stop()
	for name, test := range map[string]struct {
		change func(a *eventhub.Address)
		want   string
	}{
		"audience": {func(a *eventhub.Address) { a.Credential = entra{audience: "https://example.com"} }, "refuses the token"},
		"no token": {func(a *eventhub.Address) {
			a.Credential = entra{err: errors.New("AADSTS7000215: Invalid client secret provided")}
		}, "ondemand.eventhub.entra"},
		"no Entra": {func(a *eventhub.Address) {
			credential, err := azidentity.NewClientSecretCredential("11111111-1111-4111-8111-111111111111", "c", "s", &azidentity.ClientSecretCredentialOptions{
				DisableInstanceDiscovery: true, // no look at Microsoft's own servers
				ClientOptions: azcore.ClientOptions{
					Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: "https://127.0.0.1:1/"}, Retry: azpolicy.RetryOptions{MaxRetries: -1},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			a.Credential = credential
		}, "AZURE_AUTHORITY_HOST"},
		"untrusted":  {func(a *eventhub.Address) { a.TLS = nil }, "certificate"},
		"other hub":  {func(a *eventhub.Address) { a.Hub = "none" }, "ondemand.eventhub.name"},
		"not a host": {func(a *eventhub.Address) { a.Endpoint = "nowhere.invalid:1" }, "resolve"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.o.Address
			test.change(&a)
			_, err := eventhub.Check(t.Context(), a, "$Default", 5*time.Second)
			failure, ok := errors.AsType[*eventhub.Failure](err)
			if !ok || !strings.Contains(failure.What+failure.Do, test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// A token that Entra ID does not issue in time is not sought at the hub.
func TestEntraIDDoesNotAnswer(t *testing.T) {
	t.Parallel()
	hub, trusts := secureHub(t)
	a := eventhub.Address{Namespace: "ns", Hub: "tasks", Credential: entra{silent: true}, Endpoint: hub.Addr(), TLS: trusts}
	_, err := eventhub.Check(t.Context(), a, "$Default", 300*time.Millisecond)
	if failure, ok := errors.AsType[*eventhub.Failure](err); !ok || !strings.Contains(failure.Do, "AZURE_AUTHORITY_HOST") {
		t.Errorf("error %v, want one about Entra ID", err)
	}
}

// What a hub that answers does not do is not sought in the network, nor a hub without TLS among the certificates.
func TestRefusalsAreNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 0)
	plain := r.hub.ConnectionString()
	for name, test := range map[string]struct {
		connection string
		partition  string
		want       string
	}{
		"no partition": {plain, "9", "The specified partition is invalid"},
		"no TLS":       {strings.Replace(plain, ";UseDevelopmentEmulator=true", "", 1), "0", "UseDevelopmentEmulator=true"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := eventhub.Publish(t.Context(), eventhub.Address{ConnectionString: test.connection}, eventhub.PublishOptions{Partition: test.partition, Timeout: 5 * time.Second}, []byte(document("a", "t")))
			failure, ok := errors.AsType[*eventhub.Failure](err)
			if !ok || !strings.Contains(failure.Do, test.want) || strings.Contains(failure.Error(), "5671") || strings.Contains(failure.What, "certificate") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// Which settings belong together is checked before anything is sent.
func TestAddress(t *testing.T) {
	t.Parallel()
	const good = "Endpoint=sb://n/;SharedAccessKeyName=k;SharedAccessKey=v"
	for want, a := range map[string]eventhub.Address{
		"no event hub is configured": {},
		"name is missing":            {ConnectionString: good},
		"keep one":                   {ConnectionString: good + ";EntityPath=a", Hub: "b"},
		"both":                       {ConnectionString: good, Hub: "b", Namespace: "n"},
		"AZURE_FEDERATED_TOKEN_FILE": {Namespace: "n", Hub: "b"},
	} {
		if _, err := eventhub.Check(t.Context(), a, "$Default", time.Second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// The counters of partitions are there, at 0, before the hub was reached: an increase is seen only of what was there before.
func TestCountersBeforeTheHubIsReached(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, 0)
	registry := prometheus.NewRegistry()
	r.o.Registerer = registry
	if _, err := eventhub.New(r.o); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, f := range families {
		there[f.GetName()] = len(f.GetMetric()) > 0
	}
	for _, name := range []string{"ucwarden_eventhub_stuck_total", "ucwarden_eventhub_expired_total", "ucwarden_eventhub_events_total", "ucwarden_eventhub_tasks_total", "ucwarden_eventhub_reconnects_total", "ucwarden_eventhub_up"} {
		if !there[name] {
			t.Errorf("no series of %s", name)
		}
	}
}
