package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/config"
)

// write puts text into a file and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ucwarden.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, file string, environ ...string) *config.Config {
	t.Helper()
	c, err := config.Load(config.Options{File: write(t, file), Environ: environ})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return c
}

// loadErr returns the text of the error, with the folder of the file cut off.
func loadErr(t testing.TB, file string, environ ...string) string {
	t.Helper()
	path := write(t, file)
	_, err := config.Load(config.Options{File: path, Environ: environ})
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("load: want a *config.Error, got %v", err)
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", "")
}

func TestDefaults(t *testing.T) {
	c, err := config.Load(config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.OnDemand.Workers != 4 || c.OnDemand.MaxAttempts != 8 || c.OnDemand.Retention != 720*time.Hour ||
		c.OnDemand.EventHub.ConsumerGroup != "$Default" || c.OnDemand.EventHub.Start != "earliest" {
		t.Errorf("ondemand: %+v", c.OnDemand)
	}
	if want := (config.Sync{Interval: time.Hour, Jitter: 5 * time.Minute, OnStart: true, Mode: "enforce", GrantUpdates: true}); c.Sync != want {
		t.Errorf("sync: %+v", c.Sync)
	}
	if c.Guard.MaxRevokes != 500 || c.Guard.MaxRevokeRatio != 0.2 || c.Store.Path != "./data" || c.Principals.UserCase != "none" {
		t.Errorf("guard %+v, store %+v, principals %+v", c.Guard, c.Store, c.Principals)
	}
	if c.APIServer.Enabled || c.OnDemand.Enabled || c.OnDemand.EventHub.Enabled || c.ServesAPI() {
		t.Error("something is enabled by default")
	}
	if len(c.Scope.Catalogs.Include)+len(c.Scope.Users.Exclude) != 0 || !c.Scope.Users.Manage {
		t.Errorf("scope: %+v", c.Scope)
	}
	if len(c.Settings()) != len(config.Keys()) || len(c.Warnings()) != 0 {
		t.Errorf("%d settings, %d keys, warnings %q", len(c.Settings()), len(config.Keys()), c.Warnings())
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "sync:\n  interval: 2h\n  jitter: 2m\nstore.path: /file\n")
	c, err := config.Load(config.Options{
		File:    file,
		Environ: []string{"UCWARDEN_SYNC_JITTER=3m", "UCWARDEN_STORE_PATH=/env", "UCWARDEN_LOG_LEVEL="},
		Flags: []config.Flag{
			{Key: "store.path", Value: "/first", Name: "--set"},
			{Key: "store.path", Value: "/flag", Name: "--set"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Sync.Interval != 2*time.Hour || c.Sync.Jitter != 3*time.Minute || c.Store.Path != "/flag" || c.Log.Level != "info" {
		t.Errorf("got interval %s, jitter %s, store %s, level %s", c.Sync.Interval, c.Sync.Jitter, c.Store.Path, c.Log.Level)
	}
	from := make(map[string]string)
	for _, s := range c.Settings() {
		from[s.Key] = s.Source.String()
	}
	for key, want := range map[string]string{
		"sync.interval": file + ":2", "sync.jitter": "env UCWARDEN_SYNC_JITTER", "store.path": "flag --set", "log.level": "default",
	} {
		if from[key] != want {
			t.Errorf("%s comes from %q, want %q", key, from[key], want)
		}
	}
}

// The value of a key is the same by whichever of its names it is given, in the file and in the environment.
func TestEveryName(t *testing.T) {
	sample := map[config.Type]string{
		config.TypeString: "abc", config.TypeBool: "true", config.TypeInt: "3", config.TypeFloat: "0.5", config.TypeDuration: "7m",
		config.TypeBytes: "2MiB", config.TypeURL: "https://example.com", config.TypeList: "a*,b", config.TypeSecret: strings.Repeat("s", 40),
	}
	special := map[string]string{
		"ondemand.eventhub.task_types":        "FULL_SYNC,PIPELINE_UPDATE",
		"ondemand.eventhub.connection_string": "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=v;EntityPath=hub",
		"refresh.window":                      "2m",
		"apiserver.addr":                      "127.0.0.1:1", "apiserver.admin_addr": "127.0.0.1:2",
		"protection.mask_other": "-", "protection.strategy": "table", "policies.deny_strategy": "expand,withhold",
		"tracing.headers": "Api-Key=k",
		"webhook.secret":  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "webhook.events": "task.ended,grants.drift",
		"scope.schemas.include": "a.*", "scope.schemas.exclude": "a.*,b.c",
	}
	// The keys that cannot stand alone, with what they need.
	needs := map[string]string{
		"databricks.host": "databricks.token: t", "ondemand.eventhub.enabled": "ondemand.eventhub.connection_string: '" + special["ondemand.eventhub.connection_string"] + "'",
		"refresh.on":         "pipelines.jobs: jobs.json",
		"apiserver.tls.cert": "apiserver.tls.key: k", "apiserver.tls.key": "apiserver.tls.cert: c",
		"apiserver.tls.client_ca": "apiserver.tls: {key: k, cert: c}", "webhook.url": "webhook.secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"policies.ranger.cert_file": "policies.ranger.key_file: k", "policies.ranger.key_file": "policies.ranger.cert_file: c",
		"policies.ranger.url": "policies.ranger.service: s", "policies.ranger.password": "policies.ranger.username: n",
	}
	for _, key := range config.Keys() {
		text := sample[key.Type]
		if key.Type == config.TypeEnum {
			text = key.Enum[len(key.Enum)-1]
		}
		if s, ok := special[key.Name]; ok {
			text = s
		}
		if section, _, ok := strings.Cut(strings.TrimPrefix(key.Name, "scope."), "."); ok && slices.Contains([]string{"tables", "functions", "volumes"}, section) {
			text = "a.*.*,b.c.d"
		}
		if key.Name == "scope.protected" {
			text = "a,b c"
		}
		if key.Name == "databricks.auth" {
			text = "token"
		}
		names := append([]string{key.Name}, key.Properties...)
		var want config.Setting
		for i, name := range append(names, append([]string{key.Env()}, key.Properties...)...) {
			file, environ := needs[key.Name]+"\n", []string(nil)
			if i < len(names) {
				file += name + ": '" + text + "'\n"
			} else {
				environ = []string{name + "=" + text}
			}
			got := setting(load(t, file, environ...), key.Name)
			if got.Source.Name != name {
				t.Errorf("%s given as %s: source is %v", key.Name, name, got.Source)
			}
			if i == 0 {
				want = got
			} else if !cmp.Equal(got.Value, want.Value) {
				t.Errorf("%s given as %s: got %v, want %v", key.Name, name, got.Value, want.Value)
			}
		}
	}
}

func setting(c *config.Config, key string) config.Setting {
	for _, s := range c.Settings() {
		if s.Key == key {
			return s
		}
	}
	return config.Setting{}
}
