// Command ucwarden keeps Databricks Unity Catalog in sync with centrally written access policies.
//
// One file holds one command; serve.go puts the daemon together. The commands return errors; only main exits.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run carries out one command line and returns the exit code (see exitCodes). The first interrupt ends the command in
// good order, a second one at once.
func run(args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	go func() {
		select {
		case <-interrupts:
			signal.Stop(interrupts) // before anybody hears of it: the next one ends the process
			cancel()
		case <-ctx.Done():
		}
	}()

	a := &app{stdin: stdin, stdout: newStream(stdout), stderr: newStream(stderr), environ: environ}
	root := newRootCommand(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(ctx, cmd, err)
}
