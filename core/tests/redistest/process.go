// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

var errMissing = errors.New(
	"redis-server is missing: install Debian's redis-server 7.0: apt-get install redis-server")

// process is one run of redis-server.
type process struct {
	pid    int
	exited chan struct{} // closed when it has ended, after Wait
}

// spawn starts redis-server with its log appended to the directory's.
func spawn(dir string, args []string) (*process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errMissing
	}
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...) // a server for tests, ended by its pid
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes()

	p := &process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The server dies with the thread that started it, so that thread must live
		// until the server has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		defer func() { _ = log.Close() }()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting redis-server: %w", err)
	}
	return p, nil
}

// signal sends a signal to the process, not to its group.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.exited:
		return os.ErrProcessDone // another process may have its pid by now
	default:
		return syscall.Kill(p.pid, sig)
	}
}

// kill ends the process and its children at once, and waits for the end.
func (p *process) kill() {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.exited
	}
}
