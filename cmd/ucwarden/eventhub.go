package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"ucwarden/config"
	"ucwarden/connector/doctor"
	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
)

// hubAddress copies which event hub the configuration names.
func hubAddress(c *config.Config) eventhub.Address {
	e := c.OnDemand.EventHub
	return eventhub.Address{
		ConnectionString: e.ConnectionString.Reveal(), Hub: e.Name,
		Namespace: e.Namespace, TenantID: e.Entra.TenantID, ClientID: e.Entra.ClientID, ClientSecret: e.Entra.ClientSecret.Reveal(),
	}
}

// newEvents makes the consumer of the event hub. It does not connect: a hub that is down must not keep the daemon from
// working.
func (d *daemon) newEvents() (*eventhub.Consumer, error) {
	e := d.config.OnDemand.EventHub
	o := eventhub.Options{
		Address: hubAddress(d.config), ConsumerGroup: e.ConsumerGroup, Latest: e.Start == "latest",
		Queue: d.queue, Logger: d.log, Registerer: d.registry,
	}
	for _, t := range e.TaskTypes {
		o.TaskTypes = append(o.TaskTypes, ondemand.Type(t))
	}
	if !slices.Contains(e.Catalogs, "*") {
		o.Catalogs = e.Catalogs
	}
	return eventhub.New(o)
}

// eventsProblem is the readiness check of the event hub.
func (d *daemon) eventsProblem(context.Context) error { return d.events.Problem() }

// hubTimeout bounds each question of doctor to the event hub.
const hubTimeout = 10 * time.Second

// hubCheck is the check of the event hub.
func hubCheck(c *config.Config) doctor.Check {
	return doctor.Check{Name: "eventhub", Run: func(ctx context.Context) []doctor.Finding {
		e := c.OnDemand.EventHub
		seen, err := eventhub.Check(ctx, hubAddress(c), e.ConsumerGroup, hubTimeout)
		if failure, ok := errors.AsType[*eventhub.Failure](err); ok {
			return []doctor.Finding{doctor.Problem.Is(failure.Do, "%s: %v", failure.What, failure.Err)}
		}
		if err != nil {
			return []doctor.Finding{doctor.Problem.Is("correct ondemand.eventhub", "%v", err)}
		}
		return []doctor.Finding{doctor.Found("hub %s of %s has %s; consumer group %s can be read",
			seen.Hub, seen.Namespace, countOf(len(seen.Partitions), "partition", "partitions"), e.ConsumerGroup)}
	}}
}
