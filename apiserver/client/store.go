package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"ucwarden/ondemand/store"
)

// CheckStore lets the server read its store whole, and returns what is in it.
func (c *Client) CheckStore(ctx context.Context) (store.Report, error) {
	var r store.Report
	resp, err := c.send(ctx, request{method: http.MethodPost, admin: true, path: []string{"store", "check"}})
	if err != nil {
		return r, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&r); err != nil {
		return r, fmt.Errorf("read the server's answer: %w", err)
	}
	return r, nil
}

// BackupStore writes a copy of the server's store to w. One that is cut off is an error.
func (c *Client) BackupStore(ctx context.Context, w io.Writer) error {
	resp, err := c.send(ctx, request{method: http.MethodPost, admin: true, path: []string{"store", "backup"}})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("receive the backup: %w", err)
	}
	return nil
}
