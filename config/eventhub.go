package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ucwarden/endpoint"
)

// ReadsEvents reports whether tasks come from an event hub.
func (c *Config) ReadsEvents() bool { return c.OnDemand.Enabled && c.OnDemand.EventHub.Enabled }

func (c *Config) validateEventHub(ps *problems) {
	e := &c.OnDemand.EventHub
	const key = "ondemand.eventhub.connection_string"
	entity := connectionParts(e.ConnectionString.Reveal())["entitypath"]
	switch {
	case entity != "" && e.Name != "" && entity != e.Name:
		ps.add("ondemand.eventhub.name", c.source("ondemand.eventhub.name"), "is not the EntityPath of %s: keep one", key)
	case e.Name == "":
		e.Name = entity
	}
	if !e.Enabled {
		return
	}
	from := c.source("ondemand.eventhub.enabled")
	switch {
	case !e.ConnectionString.IsSet() && e.Namespace == "":
		ps.add("ondemand.eventhub.enabled", from, "needs %s, or ondemand.eventhub.namespace with Entra ID", key)
	case e.ConnectionString.IsSet() && e.Namespace != "":
		ps.add("ondemand.eventhub.namespace", c.source("ondemand.eventhub.namespace"), "is for Entra ID, but %s is set too: keep one", key)
	case e.Name == "" && e.Namespace != "":
		ps.add("ondemand.eventhub.enabled", from, "needs the hub: set ondemand.eventhub.name")
	case e.Name == "":
		ps.add("ondemand.eventhub.enabled", from, "needs the hub: set ondemand.eventhub.name, or EntityPath in %s", key)
	}
	parts := connectionParts(e.ConnectionString.Reveal())
	if u, err := url.Parse(parts["endpoint"]); err == nil && strings.EqualFold(parts["usedevelopmentemulator"], "true") && !endpoint.IsLoopback(u.Hostname()) {
		c.warn("%s has UseDevelopmentEmulator=true for a host that is not this machine: tokens and events cross the network in the clear", key)
	}
	if !c.OnDemand.Enabled {
		c.warn("ondemand.eventhub.enabled has no effect without ondemand.enabled")
	}
}

// checkConnectionString checks the form of an Event Hubs connection string: Endpoint=sb://host/, a key name with its key
// or a signature, and optionally EntityPath.
func checkConnectionString(v any) string {
	text := v.(Secret).Reveal()
	if text == "" {
		return ""
	}
	const want = "not an Event Hubs connection string: "
	for part := range strings.SplitSeq(text, ";") {
		if name, _, ok := strings.Cut(part, "="); strings.TrimSpace(part) != "" && (!ok || strings.TrimSpace(name) == "") {
			return want + "its parts are NAME=VALUE, separated by semicolons"
		}
	}
	parts := connectionParts(text)
	address, err := url.Parse(parts["endpoint"])
	switch {
	case err != nil || address.Scheme != "sb" || address.Hostname() == "":
		return want + "Endpoint=sb://NAMESPACE.servicebus.windows.net/ is missing or malformed"
	case parts["sharedaccesssignature"] != "":
	case parts["sharedaccesskeyname"] == "":
		return want + "SharedAccessKeyName is missing"
	case parts["sharedaccesskey"] == "":
		return want + "SharedAccessKey is missing"
	}
	return ""
}

// connectionParts splits NAME=VALUE;… with the names in lower case.
func connectionParts(text string) map[string]string {
	parts := make(map[string]string)
	for part := range strings.SplitSeq(text, ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			parts[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	return parts
}

// checkNamespace checks the name of an Event Hubs namespace.
func checkNamespace(v any) string {
	if text := v.(string); strings.ContainsAny(text, ":/; ") {
		return quote(text) + " is not the name of a namespace: want NAME.servicebus.windows.net"
	}
	return ""
}

// eventTaskTypes are the task types that may come from outside.
var eventTaskTypes = []string{"RESOURCE_SYNC", "FULL_SYNC", "PIPELINE_UPDATE"}

// checkTaskTypes checks a list that limits what events may ask for: an empty one is not understood.
func checkTaskTypes(v any) string {
	types := v.([]string)
	if len(types) == 0 {
		return "names no task type: to take no tasks from events, unset ondemand.eventhub.enabled"
	}
	for _, t := range types {
		if !slices.Contains(eventTaskTypes, t) {
			return fmt.Sprintf("%s is not one of %s", quote(t), strings.Join(eventTaskTypes, ", "))
		}
	}
	return ""
}

// checkPatterns checks a list of patterns that limits: an empty one is not understood.
func checkPatterns(v any) string {
	patterns := v.([]string)
	if len(patterns) == 0 {
		return "names no catalog: leave it out for all of them"
	}
	for _, p := range patterns {
		if strings.TrimSpace(p) == "" || strings.ContainsAny(p, "/.") {
			return quote(p) + " is not the name of a catalog, nor a * pattern"
		}
	}
	return ""
}
