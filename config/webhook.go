package config

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// webhookEvents are the types of events; package webhook has what they mean.
var webhookEvents = []string{"task.ended", "plan.refused", "grants.drift", "protection.drift", "service.degraded", "service.restored"}

func checkWebhookEvents(v any) string {
	for _, t := range v.([]string) {
		if !slices.Contains(webhookEvents, t) {
			return fmt.Sprintf("there are no events of type %q: want one of %s", t, strings.Join(webhookEvents, ", "))
		}
	}
	return ""
}

// checkWebhookSecret checks the form of the secrets of Standard Webhooks.
func checkWebhookSecret(v any) string {
	for _, secret := range strings.Fields(v.(Secret).Reveal()) {
		text, found := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		if !found || err != nil || len(key) < 24 || len(key) > 64 {
			return "want whsec_ and base64 of 24 to 64 bytes, for example from: echo whsec_$(openssl rand -base64 32)"
		}
	}
	return ""
}

// isQuery reports whether a text can stand behind the ? of a URL as it is (RFC 3986, section 3.4).
func isQuery(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' })
}

func checkWebhookQuery(v any) string {
	text := v.(Secret).Reveal()
	switch {
	case strings.HasPrefix(text, "?") || strings.HasPrefix(text, "http"):
		return "want what is behind the ? of the URL alone: NAME=VALUE&NAME=VALUE"
	case !isQuery(text):
		return "is not escaped as in a URL: want visible ASCII characters alone, without #"
	}
	return ""
}

// takeQuery makes the query of webhook.url, which may hold a key, the value of webhook.query: from then on it is a secret like others. layers
// come with those first that override others: the query of a URL that is overridden belongs to no other.
func (l *loader) takeQuery(layers ...map[string]layerValue) {
	const at, to = "webhook.url", "webhook.query"
	overridden := false
	for _, layer := range layers {
		given, ok := layer[at]
		if !ok {
			continue
		}
		address, query, _ := strings.Cut(given.value.(string), "?")
		layer[at] = layerValue{address, given.from}
		if query != "" && !overridden {
			for _, other := range layers {
				if apart, ok := other[to]; ok && apart.value.(Secret).IsSet() {
					l.problems.add(to, apart.from, "%s has a query too (%s): keep one of them", at, given.from)
				}
			}
			layer[to] = layerValue{NewSecret(query), given.from}
			if given.from.Kind == FromFlag {
				l.warn("%s: the query of a URL on the command line can be read by every user of the machine: where it holds a key, put it in the file or in %s, or the path of a file in %s",
					at, l.byName[to].Env(), l.byName[to].FileEnv())
			}
		}
		overridden = true
	}
}

// validateWebhook requires that the receiver can tell who sends.
func (c *Config) validateWebhook(ps *problems) {
	if w := &c.Webhook; w.URL != "" && !w.Secret.IsSet() {
		ps.add("webhook.url", c.source("webhook.url"), "needs webhook.secret, by which the receiver tells who sends: set it, for example from: echo whsec_$(openssl rand -base64 32)")
	}
}
