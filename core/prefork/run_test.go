// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRun_EndsWithoutAnErrorAtSIGTERMAndWhenItsContextIsDone(t *testing.T) {
	t.Parallel()
	p := start(t, "serve")
	pids := p.workers(2, func(a answer) bool { return a.Parent == p.cmd.Process.Pid })
	p.signal(syscall.SIGTERM)
	must(t, p.end())
	gone(t, pids)
	must(t, start(t, "brief").end())
}

func TestRun_AWorkerThatDiesIsReplacedUnderItsNumber(t *testing.T) {
	t.Parallel()
	p := start(t, "serve")
	pids := p.workers(2, anybody)
	for range 3 { // at once, and then after a pause
		must(t, syscall.Kill(pids[1], syscall.SIGKILL))
		pids[1] = p.workers(1, func(a answer) bool { return a.Number == 1 && a.PID != pids[1] })[1]
	}
	if now := p.workers(2, anybody); now[0] != pids[0] {
		t.Errorf("the workers were %v and are %v", pids, now)
	}
	p.says("worker 1 ended", "killed", "another begins at once")
	p.says("another begins after 400ms")
	p.signal(syscall.SIGTERM)
	must(t, p.end())
}

func TestRun_IfNoWorkerWasEverReadyItReturnsWhy(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"wrong": ": the URL is wrong (exit status 1)",
		"done":  ": by itself, without an error",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, name)
			if err := p.end(); err == nil {
				t.Error("it ended without an error")
			}
			p.says("prefork: before any worker was ready, worker ", want)
		})
	}
}

func TestRun_AWorkerThatGoesOnIsKilledAfterTheDrainTimeout(t *testing.T) {
	t.Parallel()
	p := start(t, "stubborn")
	pids := p.workers(2, anybody)
	p.signal(syscall.SIGTERM)
	if err := p.end(); err == nil {
		t.Error("it ended without an error")
	}
	p.says("worker 1 ended", "it was killed, since it went on for 300ms after it was told to end")
	gone(t, pids)
}

func TestRun_WorkersEndWhenTheirParentIsKilled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"serve", "stubborn"} { // the second ones after the drain timeout
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, name)
			pids := p.workers(2, anybody)
			p.signal(syscall.SIGKILL)
			gone(t, pids)
		})
	}
}

func TestRun_ASecondInterruptEndsAllAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, "endless")
	pids := p.workers(2, anybody)
	begin := time.Now()
	must(t, eventually(func() error {
		_ = p.cmd.Process.Signal(syscall.SIGINT) // two that come together count as one
		select {
		case <-p.ended:
			return nil
		default:
			return errors.New("it goes on")
		}
	}))
	if took := time.Since(begin); took > DefDrainTimeout/2 || p.err == nil || !strings.Contains(p.err.Error(), "interrupt") {
		t.Errorf("it ended with %v after %v, want by the signal, at once", p.err, took)
	}
	gone(t, pids)
}

func TestRun_WhatAWorkerStartsIsNoWorkerAndInheritsNoSocket(t *testing.T) {
	t.Parallel()
	p := start(t, "serve")
	p.workers(2, anybody)
	_, err := ask(p.addr, "/look")
	must(t, err)
}

func TestRun_ASecondOneInAWorkerClosesNoFileOfTheProgram(t *testing.T) {
	t.Parallel()
	p := start(t, "twice")
	p.workers(2, anybody)
	p.signal(syscall.SIGTERM)
	must(t, p.end())
}

func TestRun_AVariableThatSomebodyElseSetMakesNoWorker(t *testing.T) {
	t.Setenv(variable, `{"Parent":`+"1"+`,"Number":3}`)
	p := start(t, "serve")
	p.workers(2, func(a answer) bool { return a.Parent == p.cmd.Process.Pid })
	p.signal(syscall.SIGTERM)
	must(t, p.end())
}

// It would not be told to end, and must not become a parent either.
func TestRun_AWorkerWhoseParentHasEndedBeforeItBeganEnds(t *testing.T) {
	t.Parallel()
	ours, its, err := socketPair()
	must(t, err)
	must(t, ours.Close())
	defer func() { _ = its.Close() }()
	p := start(t, "serve", func(p *program) {
		p.cmd.ExtraFiles = []*os.File{its}
		p.cmd.Env = []string{variable + `={"Parent":1}`}
	})
	if p.end() == nil {
		t.Error("it ended without an error")
	}
	p.says("the parent ended before this worker began")
}

func TestRun_WorkersShareUnixSocketsAndFurtherListeners(t *testing.T) {
	t.Parallel()
	p := start(t, "several", func(p *program) { p.addr = filepath.Join(t.TempDir(), "s") })
	p.workers(2, func(a answer) bool { return a.Addr == p.addr })
	metrics := p.addr + ".metrics"
	if a, err := ask(metrics, "/"); err != nil || a.Addr != metrics {
		t.Errorf("%+v, %v", a, err)
	}
	p.signal(syscall.SIGTERM)
	must(t, p.end())
	for _, path := range []string{p.addr, metrics} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

func TestRun_RefusesWhatItCannotDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	overTLS := func() ([]net.Listener, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		return []net.Listener{tls.NewListener(l, nil)}, err
	}
	for want, opts := range map[string]Opts{
		"address already in use":        {Addr: taken.Addr().String()},
		"Opts.Workers is negative":      {Workers: -1},
		"*tls.listener can't be handed": {Listen: overTLS},
		"a listener that is nil":        {Listen: func() ([]net.Listener, error) { return []net.Listener{nil}, nil }},
	} {
		err := Run(t.Context(), opts, serve)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gives %v, want %q", opts, err, want)
		}
	}
}
