package client_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"ucwarden/apiserver/client"
	"ucwarden/ondemand"
)

// Submit a task and follow it to its end.
func Example() {
	ctx := context.Background()
	c, err := client.New(client.Options{BaseURL: os.Getenv("UCWARDEN_SERVER"), Token: os.Getenv("UCWARDEN_TOKEN")})
	if err != nil {
		log.Fatal(err)
	}
	task, err := c.Submit(ctx, ondemand.Task{Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{
		{Type: "table", Values: map[string]string{"catalog": "sales", "schema": "emea", "table": "orders"}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	task, err = c.Follow(ctx, task.ID, func(t ondemand.Transition) { fmt.Println(t.From, "→", t.To) })
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range task.Resources {
		fmt.Println(r.Status, r.Message)
	}
}
