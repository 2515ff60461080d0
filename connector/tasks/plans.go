package tasks

import (
	"encoding/json"
	"fmt"
	"strings"

	"ucwarden/connector"
	"ucwarden/policy"
)

// Store keeps values; see store.Store.
type Store interface {
	Load(key string) ([]byte, error)
	// SaveAll saves values at once; nil removes a key.
	SaveAll(values map[string][]byte) error
	Range(prefix string, visit func(key string, value []byte) error) error
	RemoveAll(prefix string) error
}

// plans keeps the plans of the shards of one full sync, from when they are made until they are applied. Each has a head,
// which the guards judge, and a body, which may be large.
type plans struct{ store Store }

const plansPrefix = "plan/"

func prefixOf(task string) string { return plansPrefix + task + "/" }

func shardKey(task string, shard policy.Securable, part string) string {
	return prefixOf(task) + part + "/" + shard.String()
}

// dropOthers removes the plans of all full syncs but one.
func (p plans) dropOthers(task string) error {
	others := make(map[string]bool)
	err := p.store.Range(plansPrefix, func(key string, _ []byte) error {
		if id, _, _ := strings.Cut(strings.TrimPrefix(key, plansPrefix), "/"); id != task {
			others[id] = true
		}
		return nil
	})
	for id := range others {
		if err == nil {
			err = p.store.RemoveAll(prefixOf(id))
		}
	}
	return wrap("remove the plans of earlier full syncs", err)
}

// save keeps the plan of a shard.
func (p plans) save(task string, shard policy.Securable, plan *connector.ShardPlan) error {
	head, err := json.Marshal(plan)
	if err != nil {
		return wrap("save the plan of a shard", err)
	}
	body, err := json.Marshal(plan.ShardBody)
	if err != nil {
		return wrap("save the plan of a shard", err)
	}
	return wrap("save the plan of a shard", p.store.SaveAll(map[string][]byte{
		shardKey(task, shard, "head"): head, shardKey(task, shard, "body"): body,
	}))
}

// head returns what the guards judge of a shard; nil where it is not planned.
func (p plans) head(task string, shard policy.Securable) (*connector.ShardPlan, error) {
	return loadPlan[connector.ShardPlan](p.store, shardKey(task, shard, "head"))
}

// saveJudged keeps what the guards judged of a full sync, and that they let it pass.
func (p plans) saveJudged(task string, judged connector.Judged) error {
	value, err := json.Marshal(judged)
	if err == nil {
		err = p.store.SaveAll(map[string][]byte{prefixOf(task) + "judged": value})
	}
	return wrap("save what was judged of the plans", err)
}

// take returns the judged plan of a shard to apply it, nil where there is none, and whether it was taken before: then some of
// it may be applied already.
func (p plans) take(task string, shard policy.Securable) (plan *connector.ShardPlan, judged connector.Judged, begun bool, err error) {
	j, err := loadPlan[connector.Judged](p.store, prefixOf(task)+"judged")
	if err != nil || j == nil {
		return nil, connector.Judged{}, false, err
	}
	if plan, err = p.head(task, shard); err != nil || plan == nil {
		return nil, *j, false, err
	}
	body, err := loadPlan[connector.ShardBody](p.store, shardKey(task, shard, "body"))
	if err != nil {
		return nil, *j, false, err
	}
	if body != nil {
		plan.ShardBody = *body
	}
	key := shardKey(task, shard, "begun")
	mark, err := p.store.Load(key)
	if err != nil {
		return nil, *j, false, wrap("read the plan of a shard", err)
	}
	return plan, *j, len(mark) > 0, wrap("note that a plan is applied", p.store.SaveAll(map[string][]byte{key: []byte("1")}))
}

func loadPlan[T any](s Store, key string) (*T, error) {
	value, err := s.Load(key)
	if err != nil || len(value) == 0 {
		return nil, wrap("read the plan of a shard", err)
	}
	v := new(T)
	if err := json.Unmarshal(value, v); err != nil {
		return nil, nil //nolint:nilerr // written by another version: planned anew
	}
	return v, nil
}

func wrap(act string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", act, err)
	}
	return err
}
