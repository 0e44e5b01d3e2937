// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/bridge"
)

// process is one worker as its parent sees it. All but the command belongs to the parent's
// goroutine.
type process struct {
	slot   *slot
	cmd    *exec.Cmd
	socket *os.File
	began  time.Time

	told    bool        // that it is to end
	kill    *time.Timer // set when it was told
	late    *time.Timer // of a roll: it is not ready in time
	failure string      // its error, in its own words

	inherited, leases []bridge.Lease
}

func (w *process) String() string { return fmt.Sprintf("worker %d", w.slot.number) }

func (w *process) pid() int { return w.cmd.Process.Pid }

// start starts a worker, which is to have what the slot's last worker had.
func (p *parent) start(s *slot, leases []bridge.Lease) (*process, error) {
	text, err := json.Marshal(&inheritance{
		Parent: os.Getpid(), Number: s.number, Listeners: len(p.files), Leases: leases,
	})
	if err != nil {
		return nil, err
	}
	ours, its, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("a socket for a worker: %w", err)
	}
	defer func() { _ = its.Close() }()
	w := &process{slot: s, socket: ours, began: time.Now(), inherited: leases}
	w.cmd = &exec.Cmd{
		Path: p.executable, Args: os.Args,
		Env:    append(os.Environ(), variable+"="+string(text)),
		Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles: append([]*os.File{its}, p.files...),
	}
	if err := w.cmd.Start(); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	p.living[w] = true
	go p.attend(w)
	p.opts.Logger.Info(fmt.Sprintf("prefork: %v begins, process %d", w, w.pid()))
	return w, nil
}

// lastWords is how long the parent waits for what a dead worker said. Longer than for a moment it
// does only if a process that the worker has forked holds the socket.
const lastWords = time.Second

// attend hears what a worker says until it ends.
func (p *parent) attend(w *process) {
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for lines := bufio.NewScanner(w.socket); lines.Scan(); {
			word, text, _ := strings.Cut(lines.Text(), " ")
			p.do(func() { p.heard(w, word, text) })
		}
	}()
	err := w.cmd.Wait()
	_ = w.socket.SetReadDeadline(time.Now().Add(lastWords))
	<-heard
	_ = w.socket.Close()
	p.do(func() { p.ended(w, err) })
}

// heard takes what a worker says.
func (p *parent) heard(w *process, word, text string) {
	switch word {
	case saysReady:
		p.ready(w)
	case saysFailed:
		_ = json.Unmarshal([]byte(text), &w.failure)
	case saysLease:
		var l bridge.Lease
		if json.Unmarshal([]byte(text), &l) == nil {
			w.leased(l)
		}
	}
}

// leased notes a lease, in place of the same writer's former one.
func (w *process) leased(l bridge.Lease) {
	w.leases = append(slices.DeleteFunc(w.leases, func(had bridge.Lease) bool { return had.Writer == l.Writer }), l)
}

// legacy returns the leases that a successor is to take over: those of this worker, and of apps in
// which it got none yet those of its own predecessor.
func (w *process) legacy() []bridge.Lease {
	leases := slices.Clone(w.leases)
	for _, l := range w.inherited {
		if !slices.ContainsFunc(w.leases, func(own bridge.Lease) bool { return own.App == l.App }) {
			leases = append(leases, l)
		}
	}
	return leases
}

// tell tells a worker to end, once, and kills it after the drain timeout.
func (p *parent) tell(w *process) {
	if w.told {
		return
	}
	w.told = true
	_ = w.cmd.Process.Signal(syscall.SIGTERM) // an error says that it has ended
	w.kill = time.AfterFunc(p.opts.DrainTimeout, func() {
		p.do(func() {
			w.failure = fmt.Sprintf("it was killed, since it went on for %v after it was told to end", p.opts.DrainTimeout)
			_ = w.cmd.Process.Kill()
		})
	})
}

// outcome returns the error with which a worker ended; nil if it was told to end, and had no
// error or did not heed the signal yet.
func (w *process) outcome(err error) error {
	if err == nil && w.told {
		return nil
	}
	var exit *exec.ExitError
	if w.told && errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() &&
			(status.Signal() == syscall.SIGTERM || status.Signal() == syscall.SIGINT) {
			return nil
		}
	}
	switch {
	case err == nil:
		return errors.New("by itself, without an error")
	case w.failure != "":
		return fmt.Errorf("%s (%w)", w.failure, err)
	}
	return err
}

// socketPair returns two connected sockets: one for this process, one to be inherited.
func socketPair() (ours, its *os.File, err error) {
	syscall.ForkLock.RLock() // no process that starts meanwhile may inherit them
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.SetNonblock(pair[0], true); err != nil { // so that a read can be ended
		_, _ = syscall.Close(pair[0]), syscall.Close(pair[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "parent"), nil
}

// inheritable returns a descriptor of a listener that workers can inherit.
//
// It is not TCPListener.File: exec makes such a file blocking when a child inherits it, also for the
// workers that accept on it already, until the new worker sets it back. A worker that calls
// accept in between could not be stopped.
func inheritable(l net.Listener) (*os.File, error) {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
	default:
		return nil, fmt.Errorf("prefork: a listener of type %T can't be handed down: open a *net.TCPListener or a *net.UnixListener, and let the workers wrap it", l)
	}
	conn, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = conn.Control(func(original uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, failed = syscall.Dup(int(original)); failed == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("prefork: duplicating a listener: %w", err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}
