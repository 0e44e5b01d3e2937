// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Child is a process that a test started from its own binary.
type Child struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer // its standard error; read it only after the process has ended
}

// StartChild starts a child. Its TestMain finds the config, as JSON, in this variable of its
// environment. It ends with the test at the latest.
func StartChild(t testing.TB, variable string, config any, env ...string) *Child {
	t.Helper()
	text, err := json.Marshal(config)
	Must(t, err)
	self, err := os.Executable()
	Must(t, err)
	c := &Child{t: t, cmd: exec.Command(self)}
	// With the race detector each child would sleep for a second at its end.
	c.cmd.Env = append(append(os.Environ(), env...), variable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	c.cmd.Stderr = &c.err
	c.in, err = c.cmd.StdinPipe()
	Must(t, err)
	out, err := c.cmd.StdoutPipe()
	Must(t, err)
	c.out = bufio.NewReader(out)
	Must(t, c.cmd.Start())
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Logf("the child says:\n%.2000s", c.Said())
		}
	})
	return c
}

// Obey is what a child does: it executes each line that it reads as a command, and answers it with a
// line. It returns at the end of the input, or when nobody reads the answers.
func Obey(in io.Reader, out io.Writer, do func(line string) (answer string, err error)) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer, err := do(lines.Text())
		if err != nil {
			answer = "error: " + err.Error()
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return
		}
	}
}

// Send sends the child one line.
func (c *Child) Send(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		c.t.Fatalf("child, %s: %v", line, err)
	}
}

// Tell sends the child one line and returns its answer, which must be no error.
func (c *Child) Tell(line string) string {
	c.t.Helper()
	c.Send(line)
	answer, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("child, %s: %v", line, err)
	}
	answer = strings.TrimSuffix(answer, "\n")
	if strings.HasPrefix(answer, "error: ") {
		c.t.Fatalf("child, %s: %s", line, answer)
	}
	return answer
}

// End ends the child's input and waits for its end, which must be a success.
func (c *Child) End() {
	c.t.Helper()
	_ = c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the child ended with %v", err)
	}
}

// Signal sends the child a signal.
func (c *Child) Signal(s syscall.Signal) {
	c.t.Helper()
	Must(c.t, c.cmd.Process.Signal(s))
}

// Kill ends the child at once, as kill -9 does. Twice is harmless.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// Wait waits for the child's end.
func (c *Child) Wait() *os.ProcessState {
	_ = c.cmd.Wait()
	return c.cmd.ProcessState
}

// Said is what an ended child wrote to its standard error.
func (c *Child) Said() string { return c.err.String() }
