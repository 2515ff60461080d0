package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// processTimeout bounds every wait for another process: long, since the machine may be busy, and never slept through.
const processTimeout = time.Minute

// process is a child process running this program, with what it logged.
type process struct {
	cmd    *exec.Cmd
	stdout io.ReadCloser
	ended  chan struct{} // closed when it has
	state  error         // of its end

	mu    sync.Mutex
	log   bytes.Buffer  // standard error
	read  int           // how much of log the waits have passed
	wrote chan struct{} // closed, and replaced, when log grows
}

// launch starts ucwarden with args in dir. The caller must kill it or wait for its end.
func launch(dir string, environ []string, args ...string) (*process, error) {
	program, err := exec.LookPath("ucwarden") // put in PATH by TestMain
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{}), wrote: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, environ
	if p.stdout, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		lines := bufio.NewReader(stderr)
		for {
			line, err := lines.ReadBytes('\n')
			p.mu.Lock()
			p.log.Write(line)
			close(p.wrote)
			p.wrote = make(chan struct{})
			p.mu.Unlock()
			if err != nil {
				break
			}
		}
		p.state = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// logged waits until the process has logged a line that matches pattern, after the line that the last call matched,
// and returns the submatches.
func (p *process) logged(pattern *regexp.Regexp) ([]string, error) {
	timeout := time.NewTimer(processTimeout)
	defer timeout.Stop()
	over := false
	for {
		p.mu.Lock()
		rest, wrote := p.log.Bytes()[p.read:], p.wrote
		for start := 0; start < len(rest); {
			end := bytes.IndexByte(rest[start:], '\n')
			if end < 0 {
				break
			}
			if m := pattern.FindStringSubmatch(string(rest[start : start+end])); m != nil {
				p.read += start + end + 1
				p.mu.Unlock()
				return m, nil
			}
			start += end + 1
		}
		p.mu.Unlock()
		if over {
			return nil, fmt.Errorf("no line matches %q in the log:\n%s", pattern, p.logs())
		}
		select {
		case <-wrote:
		case <-p.ended:
			over = true // all it logged is here
		case <-timeout.C:
			over = true
		}
	}
}

// logs returns all that was logged.
func (p *process) logs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill ends the process as a crash of the machine would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// signal sends sig and waits for the end, which must be in good order.
func (p *process) signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.state
	case <-time.After(processTimeout):
		p.kill()
		return errors.New("the process did not end")
	}
}

// serving matches what serve logs when it takes tasks.
var serving = regexp.MustCompile(`msg="serving tasks".* addr=(\S+)`)

// launchServe starts the daemon and returns the URL of its API.
func launchServe(dir string, environ []string, args ...string) (*process, string, error) {
	p, err := launch(dir, environ, append([]string{"serve"}, args...)...)
	if err != nil {
		return nil, "", err
	}
	m, err := p.logged(serving)
	if err != nil {
		p.kill()
		return nil, "", err
	}
	return p, "http://" + m[1], nil
}

// environment is that of the test, without what configures ucwarden, and more.
func environment(more ...string) []string {
	var list []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "UCWARDEN_") && !strings.HasPrefix(pair, "CONNECTOR_") {
			list = append(list, pair)
		}
	}
	return append(list, more...)
}
