package main

import (
	"context"
	"fmt"

	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

const demoPipeline = "5a1e5601-0d2b-4c3d-8e4f-90a1b2c3d4e5"

// demoPipelines are the pipelines of the sample workspace, which service may run.
func demoPipelines(service string) []emulator.SeedPipeline {
	return []emulator.SeedPipeline{{
		ID: demoPipeline, Name: "sales_gold", Spec: map[string]any{"catalog": "sales", "schema": "curated", "photon": true},
		Permissions: map[string]string{service: "CAN_RUN"},
	}}
}

// pipelineUpdate has a pipeline updated, and shows what became of that.
func (d *demo) pipelineUpdate(ctx context.Context) error {
	d.title("A pipeline is updated, and followed to its end (ucwarden pipeline run)")
	task, err := ondemand.PipelineTask(demoPipeline, false)
	if err != nil {
		return err
	}
	task.Source = "demo"
	if task, err = d.post(ctx, task, func(t ondemand.Transition) { d.printTransition(d.stdout, t) }); err != nil {
		return err
	}
	if task.Run == nil || task.Run.Status != ondemand.RunSuccess {
		return fmt.Errorf("task %s has the run %+v", task.ID, task.Run)
	}
	fmt.Fprintln(d.stdout)
	return d.printRun(d.stdout, task)
}
