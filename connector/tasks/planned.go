package tasks

import (
	"encoding/json"
	"strings"
	"time"

	"ucwarden/connector"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// PlannedShard is what a full sync plans, or planned, to change in one shard.
type PlannedShard struct {
	Shard         policy.Securable
	PlannedAt     time.Time
	PolicyVersion int64
	Digest        string // by which it can be approved; "" where it changes nothing
	Totals        policy.Totals
	Changes       []ondemand.Change // one for each securable and principal
	Protection    []PlannedProtection
	LeftOut       int // further changes, beyond the limit
}

// PlannedProtection is a row filter or mask that is to be set or lifted.
type PlannedProtection struct {
	Table policy.Securable
	policy.ProtectionAct
}

// Planned returns the task of a full sync and what it plans for its shards, those that are wanted, in the order of their names: of the
// sync with the id, or with "" of the last one. Of their changes there are up to limit. Plans are kept until the next full sync; an
// error of class CodeNotFound says that there are none.
func Planned(s Store, task string, wanted func(shard policy.Securable) bool, limit int) (id string, list []PlannedShard, err error) {
	id, heads, err := plannedHeads(s, task)
	if err != nil {
		return "", nil, err
	}
	for _, head := range heads {
		if !wanted(head.Roots[0]) {
			continue
		}
		p := PlannedShard{
			Shard: head.Roots[0], PlannedAt: head.PlannedAt, PolicyVersion: head.PolicyVersion, Digest: head.Digest, Totals: head.Totals,
		}
		if head.Digest != "" {
			body, err := loadPlan[connector.ShardBody](s, shardKey(id, p.Shard, "body"))
			if err != nil {
				return "", nil, err
			}
			if body != nil {
				limit = p.add(body, limit)
			}
		}
		list = append(list, p)
	}
	return id, list, nil
}

// add adds up to limit changes, and returns what is left of the limit.
func (p *PlannedShard) add(body *connector.ShardBody, limit int) int {
	for i := range body.Protection {
		for _, act := range body.Protection[i].Acts() {
			if limit == 0 {
				p.LeftOut++
				continue
			}
			limit--
			p.Protection = append(p.Protection, PlannedProtection{body.Protection[i].Table, act})
		}
	}
	for _, c := range body.Changes {
		for _, change := range recordedChanges(c) {
			if limit == 0 {
				p.LeftOut++
				continue
			}
			limit--
			p.Changes = append(p.Changes, change)
		}
	}
	return limit
}

// plannedHeads returns the plans of a full sync without what they change: of the one with the id, or with "" of the one that was
// planned last.
func plannedHeads(s Store, task string) (id string, heads []*connector.ShardPlan, err error) {
	const part = "/head/"
	prefix := plansPrefix
	if task != "" {
		prefix = prefixOf(task)
	}
	by := make(map[string][]*connector.ShardPlan)
	var last time.Time
	err = s.Range(prefix, func(key string, value []byte) error {
		at := strings.LastIndex(key, part) // no name of a shard holds a slash
		if at < 0 {
			return nil
		}
		of := strings.TrimPrefix(key[:at], plansPrefix)
		if task != "" && of != task {
			return nil
		}
		head := new(connector.ShardPlan)
		if err := json.Unmarshal(value, head); err != nil || len(head.Roots) != 1 {
			return nil //nolint:nilerr // written by another version: there is no plan that is understood
		}
		by[of] = append(by[of], head)
		if id == "" || head.PlannedAt.After(last) {
			id, last = of, head.PlannedAt
		}
		return nil
	})
	if err != nil {
		return "", nil, wrap("read the plan of a full sync", err)
	}
	if id == "" {
		return "", nil, policy.Errorf(policy.CodeNotFound, "no plan is kept: a full sync makes one, which is kept until the next")
	}
	return id, by[id], nil
}
