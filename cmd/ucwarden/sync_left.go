package main

import (
	"context"
	"fmt"
	"io"

	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
)

// submitHere submits a task to the queue of this process, which does not run yet, and says what is there before. A full sync
// takes the place of those that a crash has left: they were planned by what was read before it. left are the other tasks that
// have not ended, which are carried out beside it, the newest first; of very many, some.
func (a *app) submitHere(ctx context.Context, q *queue.Queue, task ondemand.Task) (id string, left []ondemand.Task, err error) {
	submitted, _, err := q.Submit(ctx, task)
	if err != nil {
		return "", nil, err
	}
	if task.Type == ondemand.FullSync && task.RequestInfo.Approve == "" && task.RequestInfo.Plan == "" {
		ended, err := q.SupersedeFullSyncs(submitted.ID)
		if err != nil {
			return "", nil, err
		}
		for _, t := range ended {
			fmt.Fprintf(a.stderr, "ucwarden: task %s, a full sync, was left unfinished%s: this sync takes its place, and does what is left of it\n", t.ID, partsDone(t))
		}
	}
	for _, status := range []ondemand.Status{ondemand.InProgress, ondemand.Waiting, ondemand.New} {
		page, err := q.List(ctx, ondemand.Filter{Status: status, TopLevel: true})
		if err != nil {
			return "", nil, err
		}
		for _, t := range page.Items {
			if t.ID != submitted.ID {
				left = append(left, t)
			}
		}
	}
	if len(left) > 0 {
		fmt.Fprintf(a.stderr, "ucwarden: the task store holds %s of before that have not ended: they are carried out beside this sync, as far as it takes\n", count(len(left), "other task"))
	}
	return submitted.ID, left, nil
}

// partsDone says how many of the parts of a full sync were done; nothing where it had none.
func partsDone(t ondemand.Task) string {
	if t.Children == nil {
		return ""
	}
	return fmt.Sprintf(" (%d of %s done)", t.Children.Succeeded, count(t.Children.Total, "part"))
}

// printLeft shows the tasks that were there before a sync, as they are at its end, with what they changed.
func (a *app) printLeft(w io.Writer, left []ondemand.Task) error {
	if len(left) == 0 {
		return nil
	}
	var rows [][]string
	for _, t := range left {
		rows = append(rows, []string{a.status(t.Status), t.ID, summary(t), t.StatusMessage})
	}
	fmt.Fprintln(w, "Tasks of before:")
	if err := printTable(w, []string{"status", "id", "resource", "result"}, rows); err != nil {
		return err
	}
	for _, t := range left {
		if err := a.printResults(w, t); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}
