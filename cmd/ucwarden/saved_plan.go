package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"ucwarden/atomicfile"
	"ucwarden/config"
	"ucwarden/connector"
	"ucwarden/endpoint"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// savedPlanFormat is the version of the file.
const savedPlanFormat = 1

// savedPlan is a plan as plan --out writes it. What a sync is asked to apply is its digest; the changes are there for
// whoever looks at the file, and must have that digest.
type savedPlan struct {
	Format        int                `json:"format"`
	Digest        string             `json:"digest"`
	SavedAt       time.Time          `json:"savedAt"`
	Host          string             `json:"host"` // of the workspace
	PolicyVersion int64              `json:"policyVersion"`
	Roots         []policy.Securable `json:"roots,omitempty"` // none: a full sync
	Refused       string             `json:"refused,omitempty"`
	Parts         []savedPart        `json:"parts"`
}

// savedPart is a part of a plan that has a digest of its own.
type savedPart struct {
	Digest  string          `json:"digest"`
	Changes []policy.Change `json:"changes"`
}

func workspaceOf(c *config.Config) string {
	return strings.ToLower(strings.TrimRight(endpoint.MaskURLs(c.Databricks.Host), "/"))
}

// savePlan writes a plan of the roots to a file.
func savePlan(path string, c *config.Config, roots []policy.Securable, r *connector.Result) error {
	p := savedPlan{
		Format: savedPlanFormat, Digest: r.Plan.Digest(), SavedAt: time.Now().UTC().Truncate(time.Second), Host: workspaceOf(c),
		PolicyVersion: r.Plan.PolicyVersion, Roots: roots, Parts: []savedPart{},
	}
	if r.Refused != nil {
		p.Refused = r.Refused.Error()
	}
	for _, part := range r.Parts {
		p.Parts = append(p.Parts, savedPart{part.Digest(), part.Changes})
	}
	body, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = p.verify()
	}
	if err == nil {
		err = atomicfile.Write(path, 0o600, body, []byte("\n"))
	}
	if err != nil {
		return fmt.Errorf("save the plan in %s: %w", path, err)
	}
	return nil
}

// verify returns an error unless the changes have the digests.
func (p *savedPlan) verify() error {
	var parts []string
	for _, part := range p.Parts {
		if (&policy.Plan{Changes: part.Changes}).Digest() != part.Digest {
			return fmt.Errorf("its changes do not have the digest %s", part.Digest)
		}
		parts = append(parts, part.Digest)
	}
	if policy.DigestOf(parts) != p.Digest {
		return fmt.Errorf("its parts do not have the digest %s", p.Digest)
	}
	return nil
}

// readPlan reads a file that savePlan wrote.
func readPlan(path string) (*savedPlan, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the saved plan: %w", err)
	}
	p := &savedPlan{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(p); err == nil {
		if p.Format != savedPlanFormat {
			err = fmt.Errorf("format %d, and this version reads %d", p.Format, savedPlanFormat)
		} else if err = p.verify(); err == nil && decoder.More() {
			err = errors.New("something follows the plan")
		}
	}
	if err != nil {
		return nil, withHint(fmt.Errorf("read the saved plan %s: %w", path, err), "save it again with: ucwarden plan --out %s", path)
	}
	return p, nil
}

// task returns the task that applies the plan.
func (p *savedPlan) task(approve string) (ondemand.Task, error) {
	if approve != "" && approve != p.Digest {
		return ondemand.Task{}, usageErrorf("--approve %s: the saved plan is %s", approve, p.Digest)
	}
	t := ondemand.Task{Type: ondemand.FullSync, Source: "cli", RequestInfo: ondemand.RequestInfo{Approve: approve, Plan: p.Digest}}
	for _, root := range p.Roots {
		t.Type = ondemand.ResourceSync
		t.RequestInfo.Resources = append(t.RequestInfo.Resources, ondemand.ResourceOf(root))
	}
	return t, nil
}
