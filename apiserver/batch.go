package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"ucwarden/input"
	"ucwarden/jsontext"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// maxBatch is the most tasks that one batch may hold.
const maxBatch = 1000

// SubmitTasks stores the tasks of a batch in one commit. What is wrong with one of them keeps none of the others out; an
// answer other than 200 means that nothing was stored.
func (s calls) SubmitTasks(c echo.Context) error {
	documents, err := splitBatch(bodyOf(c))
	if err != nil {
		return err
	}
	id := identityOf(c)
	answer := BatchAnswer{Items: make([]BatchItem, len(documents))}
	var tasks []ondemand.Task
	var places []int // of the tasks in the batch
	for i, document := range documents {
		task, err := s.parseTask(document)
		if err == nil {
			err = s.checkTask(c.Request().Context(), id, task)
		}
		if err != nil {
			answer.Items[i] = s.batchProblem(c, err)
			continue
		}
		task.PostedBy = id.Subject
		tasks, places = append(tasks, task), append(places, i)
	}
	stored, err := s.tasks.SubmitAll(c.Request().Context(), tasks)
	if err != nil {
		return fmt.Errorf("submit tasks: %w", err)
	}
	for i, one := range stored {
		if one.Err != nil {
			answer.Items[places[i]] = s.batchProblem(c, fmt.Errorf("submit task: %w", one.Err))
			continue
		}
		task, status := shown(id, one.Task), http.StatusOK
		if one.Created {
			status = http.StatusAccepted
		}
		answer.Items[places[i]] = BatchItem{Status: status, Location: pathTasks + "/" + url.PathEscape(task.ID), Task: &task}
	}
	wait := 0 // before those that were not taken are sent again
	for _, item := range answer.Items {
		if item.Problem != nil {
			wait = max(wait, item.Problem.RetryAfter)
		}
	}
	if wait > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(wait))
	}
	return c.JSON(http.StatusOK, answer)
}

// batchProblem returns the item of a task that was not stored. The pointers of its errors begin at the task.
func (s *Server) batchProblem(c echo.Context, err error) BatchItem {
	f := classify(err)
	if f.err != nil {
		s.log.Error("a task of a batch was not stored", "request", requestID(c), "error", f.err)
	}
	problem := problemOf(f, c)
	return BatchItem{Status: f.status, Problem: &problem}
}

// splitBatch returns the documents of a batch: those of an array, or of the array under items or tasks.
func splitBatch(body []byte) ([]json.RawMessage, error) {
	invalid := func(detail string) error {
		return &responseError{code: policy.CodeInvalid, detail: "The body is not a batch of tasks; the errors say why.", fields: []FieldError{{Detail: detail}}}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, invalid("not JSON: " + err.Error())
	}
	if whole[0] == '{' {
		o := make(map[string]json.RawMessage)
		for name, value := range jsontext.Members(whole) {
			if _, twice := o[string(name)]; twice { // parsers differ in which of them they take
				return nil, &responseError{code: policy.CodeInvalid, detail: "The body is not a batch of tasks; the errors say why.", fields: []FieldError{{
					Pointer: "/" + input.EscapePointer(string(name)), Detail: (&input.DuplicateError{Name: string(name)}).Error(),
				}}}
			}
			o[string(name)] = value
		}
		list := o["tasks"]
		if list == nil {
			list = o["items"]
		}
		if list == nil || len(o) != 1 {
			return nil, invalid(`want an array of tasks, or {"tasks": [...]} and no other field`)
		}
		whole = list
	}
	if whole[0] != '[' {
		return nil, invalid(`want an array of tasks, or {"tasks": [...]}`)
	}
	var documents []json.RawMessage
	if err := json.Unmarshal(whole, &documents); err != nil {
		return nil, invalid("not JSON: " + err.Error())
	}
	switch n := len(documents); {
	case n == 0:
		return nil, invalid("the array is empty")
	case n > maxBatch:
		return nil, &responseError{code: policy.CodeTooLarge, detail: fmt.Sprintf("The batch holds %d tasks; at most %d are allowed. Split it.", n, maxBatch)}
	}
	return documents, nil
}
