// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/bridge"
)

// A worker that dies at once, again and again, is replaced after a pause, which doubles up to the
// longest. The first time there is none. One that has lived for settled dies for the first time
// again.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
	settled      = 10 * time.Second
)

// orphansPause is how often a parent that is process 1 looks for dead processes that are no
// worker's.
const orphansPause = 2 * time.Second

// parent keeps the workers running. Its goroutine is that of Run; the others hand it what is to
// be done.
type parent struct {
	opts       Opts
	executable string
	listeners  []net.Listener
	files      []*os.File // of the listeners, for the workers
	todo       chan func()
	over       chan struct{} // closed when Run returns

	slots    []*slot
	living   map[*process]bool
	proven   bool // a worker has been ready
	stopping bool
	errs     []error
	roll     roll
	orphans  orphans
}

// slot is the place of one worker after the other.
type slot struct {
	number  int
	current *process       // nil while it is dead
	next    *process       // the successor of a roll, until it is ready
	legacy  []bridge.Lease // of the worker that died
	deaths  int            // in quick succession
	respawn *time.Timer    // after the pause
}

// supervise is Run in the parent.
func supervise(ctx context.Context, opts Opts) error {
	p := &parent{opts: opts, living: map[*process]bool{}, todo: make(chan func()), over: make(chan struct{})}
	var err error
	if p.executable, err = executable(); err != nil {
		return err
	}
	if p.listeners, err = opts.listen(ctx); err != nil {
		return err
	}
	defer p.closeListeners()
	for _, l := range p.listeners {
		file, err := inheritable(l)
		if err != nil {
			return err
		}
		p.files = append(p.files, file)
	}
	defer close(p.over)
	return p.run(ctx)
}

// executable returns the path of this program. It is the one by which the program was started, if
// that can be known, since it may go by a symbolic link that a deploy moves on.
func executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("prefork: %w", err)
	}
	if called, err := exec.LookPath(os.Args[0]); err == nil {
		one, err := os.Stat(called)
		other, err2 := os.Stat(path)
		if err == nil && err2 == nil && os.SameFile(one, other) {
			return filepath.Abs(called)
		}
	}
	return path, nil
}

// run is the parent's goroutine.
func (p *parent) run(ctx context.Context) error {
	// A channel for each: one that is full of hangups would drop a SIGTERM.
	terms, hangups, interrupts := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(terms, syscall.SIGTERM)
	defer signal.Stop(terms)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	var lookForOrphans <-chan time.Time
	if os.Getpid() == 1 {
		ticker := time.NewTicker(orphansPause)
		defer ticker.Stop()
		lookForOrphans = ticker.C
	}
	for number := range p.opts.Workers {
		p.slots = append(p.slots, &slot{number: number})
	}
	for _, s := range p.slots {
		p.replace(s)
	}
	interrupted, done := 0, ctx.Done()
	for !p.stopping || len(p.living) > 0 {
		select {
		case f := <-p.todo:
			f()
		case <-lookForOrphans:
			p.reap()
		case <-done:
			done = nil
			p.stop()
		case <-terms:
			p.stop()
		case <-hangups:
			p.hangup()
		case <-interrupts:
			if interrupted++; interrupted == 1 {
				p.stop()
			} else {
				p.killAll()
			}
		}
	}
	if interrupted > 1 {
		p.errs = append(p.errs, errors.New("prefork: interrupted a second time: the workers were killed"))
		p.endByInterrupt(interrupts)
	}
	return errors.Join(p.errs...)
}

// do hands f to the parent's goroutine.
func (p *parent) do(f func()) {
	select {
	case p.todo <- f:
	case <-p.over:
	}
}

// stop begins the end: it tells all workers. What it does is harmless a second time.
func (p *parent) stop() {
	p.stopping = true
	p.closeListeners() // once the workers have ended nobody accepts: no connection may queue up
	for _, s := range p.slots {
		if s.respawn != nil {
			s.respawn.Stop()
		}
	}
	for w := range p.living {
		p.tell(w)
	}
}

func (p *parent) closeListeners() {
	_ = closeAll(p.listeners)
	for _, file := range p.files {
		_ = file.Close()
	}
	p.listeners, p.files = nil, nil
}

func (p *parent) killAll() {
	for w := range p.living {
		_ = w.cmd.Process.Kill()
	}
}

// endByInterrupt ends this process by the signal, as one ends that does not handle it: a shell then
// knows that it was interrupted. It returns if the program handles the signal elsewhere.
func (p *parent) endByInterrupt(interrupts chan os.Signal) {
	signal.Stop(interrupts)
	_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
	<-time.After(time.Second) // a signal may take effect a little after the call
}

// replace starts a worker in the place of one that died, or the first.
func (p *parent) replace(s *slot) {
	if p.stopping || s.current != nil || s.next != nil {
		return
	}
	var err error
	if s.current, err = p.start(s, s.legacy); err != nil {
		p.failed(s, fmt.Errorf("worker %d does not start: %w", s.number, err))
	}
}

// ready notes that a worker is ready.
func (p *parent) ready(w *process) {
	p.proven = true
	if w == w.slot.next {
		p.rolled(w)
	}
}

// ended notes that a worker has ended, and has it replaced unless it was told to end.
func (p *parent) ended(w *process, err error) {
	delete(p.living, w)
	for _, timer := range []*time.Timer{w.kill, w.late} {
		if timer != nil {
			timer.Stop()
		}
	}
	err, s := w.outcome(err), w.slot
	if err != nil {
		err = fmt.Errorf("%v ended, process %d: %w", w, w.pid(), err)
	} else {
		p.opts.Logger.Info(fmt.Sprintf("prefork: %v has ended, process %d", w, w.pid()))
	}
	switch {
	case p.stopping:
		if err != nil {
			p.errs = append(p.errs, fmt.Errorf("prefork: %w", err))
		}
	case w == s.next:
		s.next = nil
		p.rollFailed(s, err)
	case w == s.current:
		s.current, s.legacy = nil, w.legacy()
		if time.Since(w.began) >= settled {
			s.deaths = 0
		}
		p.failed(s, err)
	default: // the old one of a roll
		if err != nil {
			p.opts.Logger.Error(fmt.Sprintf("prefork: %v", err))
		}
	}
	if w == p.roll.awaited && !p.stopping {
		p.roll.awaited = nil
		p.rollOn(s.number + 1)
	}
}

// failed replaces a worker that died or could not be started. If none has ever been ready, the next
// would fail as well: all ends.
func (p *parent) failed(s *slot, err error) {
	switch {
	case !p.proven:
		p.errs = append(p.errs, fmt.Errorf("prefork: before any worker was ready, %w", err))
		p.stop()
	case s.next != nil: // a roll has started its successor
		p.opts.Logger.Error(fmt.Sprintf("prefork: %v", err))
	default:
		pause, begins := time.Duration(0), "at once"
		if s.deaths > 0 {
			pause = min(firstPause<<min(s.deaths-1, 10), longestPause)
			begins = fmt.Sprintf("after %v", pause)
		}
		s.deaths++
		p.opts.Logger.Error(fmt.Sprintf("prefork: %v; another begins %s", err, begins))
		s.respawn = time.AfterFunc(pause, func() { p.do(func() { p.replace(s) }) })
	}
}
