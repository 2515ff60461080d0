// Package pipelineapi reads, starts and stops updates of Databricks pipelines over REST, by the pace and with the credentials of a
// [unitycatalog.Client]. It is the pipelines.Service of the daemon, and the pipeline commands use it.
package pipelineapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"ucwarden/connector/pipelines"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

const (
	root     = "/api/2.0/pipelines"
	pageSize = 100 // more is an error
)

// Client calls the Pipelines API of one workspace.
type Client struct {
	api          *unitycatalog.Client
	noUpdateStop atomic.Bool // the server cannot stop one update of a pipeline
}

var _ pipelines.Service = (*Client)(nil)

// New returns a client that sends its requests by another one.
func New(api *unitycatalog.Client) *Client { return &Client{api: api} }

// get sends a GET request for path, which must be escaped.
func (c *Client) get(ctx context.Context, route, path string, query url.Values, answer any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.api.Call(ctx, unitycatalog.Call{Method: http.MethodGet, Route: route, Path: path}, answer)
}

// each calls add with every page, whose token for the next one is in the field next_page_token, until add returns false.
func each[T any](ctx context.Context, c *Client, route, path string, query url.Values, add func(page *T) (next string, more bool)) error {
	query.Set("max_results", strconv.Itoa(pageSize))
	for {
		var page T
		if err := c.get(ctx, route, path, query, &page); err != nil {
			return err
		}
		next, more := add(&page)
		if next == "" || !more {
			return nil
		}
		if next == query.Get("page_token") {
			return policy.Errorf(policy.CodeUnavailable, "the server returns the same page again and again")
		}
		query.Set("page_token", next)
	}
}

type wireUpdate struct {
	ID          string          `json:"update_id"`
	State       string          `json:"state"`
	Cause       string          `json:"cause"`
	Created     json.RawMessage `json:"creation_time"` // milliseconds, or text in lists of pipelines
	FullRefresh bool            `json:"full_refresh"`
	Mode        string          `json:"mode"`
}

func (w wireUpdate) update() pipelines.Update {
	u := pipelines.Update{ID: w.ID, State: w.State, Cause: w.Cause, FullRefresh: w.FullRefresh, Continuous: w.Mode == "CONTINUOUS"}
	text := strings.Trim(string(w.Created), `"`)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		u.Created = at
	} else if millis, err := strconv.ParseInt(text, 10, 64); err == nil {
		u.Created = time.UnixMilli(millis)
	}
	return u
}

type wirePipeline struct {
	ID     string                     `json:"pipeline_id"`
	Name   string                     `json:"name"`
	State  string                     `json:"state"`
	Health string                     `json:"health"`
	RunAs  string                     `json:"run_as_user_name"`
	Spec   map[string]json.RawMessage `json:"spec"`
	Latest []wireUpdate               `json:"latest_updates"`
}

func (w wirePipeline) pipeline() pipelines.Pipeline {
	p := pipelines.Pipeline{ID: w.ID, Name: oneLine(w.Name), State: w.State, Health: w.Health, RunAs: w.RunAs, Spec: w.Spec}
	for _, u := range w.Latest {
		p.Latest = append(p.Latest, u.update())
	}
	return p
}

// Pipelines returns the pipelines that the caller may see, ordered by id, one call for each hundred. filter is of the API's form, as
// name LIKE '%x%'; "" is none.
func (c *Client) Pipelines(ctx context.Context, filter string) ([]pipelines.Pipeline, error) {
	type answer struct {
		Statuses []wirePipeline `json:"statuses"`
		Next     string         `json:"next_page_token"`
	}
	var all []pipelines.Pipeline
	query := url.Values{}
	if filter != "" {
		query.Set("filter", filter)
	}
	err := each(ctx, c, root, root, query, func(page *answer) (string, bool) {
		for _, w := range page.Statuses {
			all = append(all, w.pipeline())
		}
		return page.Next, true
	})
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	return all, nil
}

// Pipeline returns the pipeline of that id with its specification. It is of class policy.CodeNotFound if there is none.
func (c *Client) Pipeline(ctx context.Context, id string) (pipelines.Pipeline, error) {
	if err := pipelines.CheckID("a pipeline", id); err != nil {
		return pipelines.Pipeline{}, err
	}
	var w wirePipeline
	if err := c.get(ctx, root+"/{id}", root+"/"+id, nil, &w); err != nil {
		return pipelines.Pipeline{}, fmt.Errorf("get pipeline %s: %w", id, err)
	}
	return w.pipeline(), nil
}

// StartUpdate starts an update and returns its id. The request is sent once: after an error that is retryable the update may have
// been started, which [Client.Updates] shows.
func (c *Client) StartUpdate(ctx context.Context, pipeline string, fullRefresh bool) (string, error) {
	if err := pipelines.CheckID("a pipeline", pipeline); err != nil {
		return "", err
	}
	request := struct {
		PipelineID  string `json:"pipeline_id"`
		FullRefresh bool   `json:"full_refresh"`
	}{pipeline, fullRefresh}
	var answer struct {
		ID string `json:"update_id"`
	}
	call := unitycatalog.Call{Method: http.MethodPost, Route: root + "/{id}/updates", Path: root + "/" + pipeline + "/updates", Body: request, Once: true}
	if err := c.api.Call(ctx, call, &answer); err != nil {
		return "", fmt.Errorf("start an update of pipeline %s: %w", pipeline, err)
	}
	if err := pipelines.CheckID("an update", answer.ID); err != nil {
		return "", policy.Errorf(policy.CodeUnavailable, "start an update of pipeline %s: the answer has no id of an update", pipeline)
	}
	return answer.ID, nil
}

// Updates implements pipelines.Reader.
func (c *Client) Updates(ctx context.Context, pipeline string, since time.Time) ([]pipelines.Update, error) {
	if err := pipelines.CheckID("a pipeline", pipeline); err != nil {
		return nil, err
	}
	type answer struct {
		Updates []wireUpdate `json:"updates"`
		Next    string       `json:"next_page_token"`
	}
	var list []pipelines.Update
	err := each(ctx, c, root+"/{id}/updates", root+"/"+pipeline+"/updates", url.Values{}, func(page *answer) (string, bool) {
		older := false
		for _, w := range page.Updates {
			u := w.update()
			if u.Created.IsZero() || !u.Created.Before(since) {
				list = append(list, u)
			} else {
				older = true
			}
		}
		return page.Next, !older
	})
	if err != nil {
		return nil, fmt.Errorf("list the updates of pipeline %s: %w", pipeline, err)
	}
	slices.SortStableFunc(list, func(a, b pipelines.Update) int { return b.Created.Compare(a.Created) }) // which is not documented
	return list, nil
}

// Update returns an update.
func (c *Client) Update(ctx context.Context, pipeline, id string) (pipelines.Update, error) {
	if err := cmp.Or(pipelines.CheckID("a pipeline", pipeline), pipelines.CheckID("an update", id)); err != nil {
		return pipelines.Update{}, err
	}
	var answer struct {
		Update wireUpdate `json:"update"`
	}
	if err := c.get(ctx, root+"/{id}/updates/{update}", root+"/"+pipeline+"/updates/"+id, nil, &answer); err != nil {
		return pipelines.Update{}, fmt.Errorf("get update %s of pipeline %s: %w", id, pipeline, err)
	}
	u := answer.Update.update()
	u.ID = id
	return u, nil
}

// StopUpdate asks the service to stop an update, which may take long, and is nothing where the update is over. Where the server
// cannot stop one update it stops the pipeline, if that update is the active one.
func (c *Client) StopUpdate(ctx context.Context, pipeline, id string) error {
	if err := cmp.Or(pipelines.CheckID("a pipeline", pipeline), pipelines.CheckID("an update", id)); err != nil {
		return err
	}
	path := root + "/" + pipeline
	if !c.noUpdateStop.Load() {
		call := unitycatalog.Call{Method: http.MethodPost, Route: root + "/{id}/updates/{update}/stop", Path: path + "/updates/" + id + "/stop", Body: struct{}{}}
		err := c.api.Call(ctx, call, &struct{}{})
		unsupported, maybe := unitycatalog.IsUnsupported(err)
		switch {
		case err == nil:
			return nil
		case !maybe:
			return fmt.Errorf("stop update %s of pipeline %s: %w", id, pipeline, err)
		}
		if unsupported { // a 404 may be about this update alone
			c.noUpdateStop.Store(true)
		}
	}
	p, err := c.Pipeline(ctx, pipeline)
	if err != nil {
		return fmt.Errorf("stop update %s: %w", id, err)
	}
	if u, active := p.Active(); !active || u.ID != id {
		return nil // the pipeline's stop would hit another update, or none
	}
	call := unitycatalog.Call{Method: http.MethodPost, Route: root + "/{id}/stop", Path: path + "/stop", Body: struct{}{}, Once: true} // another update may be active later
	if err := c.api.Call(ctx, call, &struct{}{}); err != nil {
		return fmt.Errorf("stop pipeline %s: %w", pipeline, err)
	}
	return nil
}

type wireEvents struct {
	Events []struct {
		ID, Level, Message string
		Type               string    `json:"event_type"`
		Timestamp          time.Time `json:"timestamp"`
		Origin             struct {
			Update string `json:"update_id"`
		} `json:"origin"`
		Error struct {
			Exceptions []struct {
				Message string `json:"message"`
			} `json:"exceptions"`
		} `json:"error"`
	} `json:"events"`
	Next string `json:"next_page_token"`
}

// Events implements pipelines.Reader. Events may come late, and pages may be short or empty.
func (c *Client) Events(ctx context.Context, of pipelines.EventQuery) ([]pipelines.Event, error) {
	if err := cmp.Or(pipelines.CheckID("a pipeline", of.Pipeline), pipelines.CheckID("an update", of.Update)); err != nil {
		return nil, err
	}
	var filters []string
	if !of.Since.IsZero() {
		filters = append(filters, "timestamp >= '"+of.Since.UTC().Format("2006-01-02T15:04:05.000Z")+"'")
	}
	if of.ErrorsOnly {
		filters = append(filters, "level='ERROR'")
	}
	query := url.Values{"order_by": {"timestamp asc"}}
	if of.Last {
		query.Set("order_by", "timestamp desc")
	}
	if len(filters) > 0 {
		query.Set("filter", strings.Join(filters, " AND "))
	}
	var list []pipelines.Event
	err := each(ctx, c, root+"/{id}/events", root+"/"+of.Pipeline+"/events", query, func(page *wireEvents) (string, bool) {
		query.Del("filter") // which a page token excludes
		query.Del("order_by")
		for _, e := range page.Events {
			if !strings.EqualFold(e.Origin.Update, of.Update) {
				continue
			}
			event := pipelines.Event{ID: e.ID, Level: e.Level, Type: e.Type, Message: oneLine(e.Message), Time: e.Timestamp}
			for _, x := range e.Error.Exceptions {
				event.Exceptions = append(event.Exceptions, oneLine(x.Message))
			}
			list = append(list, event)
		}
		return page.Next, !of.Last || len(list) == 0
	})
	if err != nil {
		return nil, fmt.Errorf("list the events of pipeline %s: %w", of.Pipeline, err)
	}
	if of.Last && len(list) > 0 {
		list = list[:1]
	}
	return list, nil
}

// oneLine returns text of the service as one line of at most 400 bytes, safe for a log or a terminal.
func oneLine(text string) string {
	const most = 400
	clean := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(clean) > most {
		clean = strings.ToValidUTF8(clean[:most], "") + "…"
	}
	return clean
}
