package config

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// webhookEvents are the types of events; package webhook has what they mean.
var webhookEvents = []string{"task.ended", "plan.refused", "grants.drift", "service.degraded", "service.restored"}

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

// validateWebhook requires that the receiver can tell who sends.
func (c *Config) validateWebhook(ps *problems) {
	if w := &c.Webhook; w.URL != "" && !w.Secret.IsSet() {
		ps.add("webhook.url", c.source("webhook.url"), "needs webhook.secret, by which the receiver tells who sends: set it, for example from: echo whsec_$(openssl rand -base64 32)")
	}
}
