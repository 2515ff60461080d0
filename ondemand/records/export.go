package records

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// exportVersion is the form of an export.
const exportVersion = 1

// exportLine is one line of an export. The first has Version only; each other one a task, or an entry of another bucket.
type exportLine struct {
	Version int            `json:"ucwardenStore,omitempty"`
	Task    *ondemand.Task `json:"task,omitempty"`
	Bucket  string         `json:"bucket,omitempty"`
	Key     []byte         `json:"key,omitempty"`
	Value   []byte         `json:"value,omitempty"`
}

// Export writes the tasks of a store that no process has open, the positions of event streams and the values beside them, as JSON lines, and returns the
// number of tasks and what could not be read: of a damaged store it writes what is whole. Indexes are left out.
func Export(path string, w io.Writer) (tasks int, damage []error, err error) {
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(buffered)
	if err := lines.Encode(exportLine{Version: exportVersion}); err != nil {
		return 0, nil, err
	}
	damage, err = store.Entries(path, func(bucket, key, value []byte) error {
		switch string(bucket) {
		case string(bucketByTime), string(bucketByStatus), string(bucketByParent), string(bucketByExternal), string(bucketBacklog), string(bucketBacklogResources):
			return nil
		case string(bucketTasks):
			var t ondemand.Task
			if err := json.Unmarshal(value, &t); err != nil {
				damage = append(damage, fmt.Errorf("task %q: %w", key, err))
				return nil
			}
			tasks++
			return lines.Encode(exportLine{Task: &t})
		}
		return lines.Encode(exportLine{Bucket: string(bucket), Key: key, Value: value})
	})
	return tasks, damage, errors.Join(err, buffered.Flush())
}

// importBatch is how many lines one transaction of an import holds.
const importBatch = 1000

// Import stores what [Export] wrote in a store that holds no tasks, and returns the number of tasks.
func Import(s *store.Store, r io.Reader) (tasks int, err error) {
	if err := Open(s); err != nil {
		return 0, err
	}
	err = s.View(func(tx *store.Tx) error {
		if k, _ := tx.Bucket(bucketTasks).Cursor().Last(); k != nil {
			return policy.Errorf(policy.CodeConflict, "import tasks: the store holds tasks already: move it away first (mv %s %s.old)", s.Path(), s.Path())
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	lines := json.NewDecoder(bufio.NewReader(r))
	var first exportLine
	if err := lines.Decode(&first); err != nil || first.Version != exportVersion {
		return 0, policy.Errorf(policy.CodeInvalid, "import tasks: this is no export of version %d: want what ucwarden store export wrote", exportVersion)
	}
	for more := true; more; {
		var batch []exportLine
		for len(batch) < importBatch {
			var line exportLine
			if err := lines.Decode(&line); errors.Is(err, io.EOF) {
				more = false
				break
			} else if err != nil {
				return tasks, policy.Errorf(policy.CodeInvalid, "import tasks: after %d tasks: %w", tasks+len(batch), err)
			}
			batch = append(batch, line)
		}
		err := s.Update(func(tx *store.Tx) error {
			for i := range batch {
				if err := batch[i].store(tx); err != nil {
					return err
				}
			}
			return nil
		}, nil)
		if err != nil {
			return tasks, fmt.Errorf("import tasks: %w", err)
		}
		for _, line := range batch {
			if line.Task != nil {
				tasks++
			}
		}
	}
	return tasks, nil
}

// store stores what a line holds.
func (l *exportLine) store(tx *store.Tx) error {
	if l.Task == nil {
		for _, name := range [][]byte{bucketShards, bucketPositions, store.ValuesBucket} {
			if l.Bucket == string(name) && len(l.Key) > 0 {
				return tx.Bucket(name).Put(l.Key, bytes.Clone(l.Value))
			}
		}
		return policy.Errorf(policy.CodeInvalid, "a line holds neither a task nor an entry of a known bucket (%q)", l.Bucket)
	}
	if _, known := statusBytes[l.Task.Status]; !known {
		return policy.Errorf(policy.CodeInvalid, "task %q has the status %q", l.Task.ID, l.Task.Status)
	}
	if err := ondemand.CheckID(l.Task.ID); err != nil {
		return policy.Errorf(policy.CodeInvalid, "task %q: %w", l.Task.ID, err)
	}
	if err := Store(tx, l.Task, ""); err != nil || !l.Task.Status.Queued() || !MayQueueBehind(l.Task) {
		return err
	}
	return JoinBacklog(tx, l.Task)
}
