// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestRoll_ReplacesAllWorkersAndRefusesNoConnection(t *testing.T) {
	t.Parallel()
	p := start(t, "serve")
	pids := p.workers(2, anybody)
	var load sync.WaitGroup
	var answered atomic.Int64
	stop := make(chan struct{})
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := ask(p.addr, "/"); err != nil {
					t.Errorf("after %d answers: %v", answered.Load(), err)
					return
				}
				answered.Add(1)
			}
		})
	}
	p.signal(syscall.SIGHUP)
	p.says("the roll has replaced all workers")
	close(stop)
	load.Wait()
	gone(t, pids)
	p.workers(2, other(pids))
	t.Logf("%d requests were answered meanwhile", answered.Load())
	p.signal(syscall.SIGTERM)
	must(t, p.end())
}

func TestRoll_StopsIfANewWorkerFailsAndTheOldOnesGoOn(t *testing.T) {
	t.Parallel()
	for name, why := range map[string]string{"serve": ": the file is there", "silent": "is not ready after 300ms"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, name)
			pids := p.workers(2, anybody)
			must(t, os.WriteFile(p.flag, nil, 0o600))
			p.signal(syscall.SIGHUP)
			p.says("the roll stops at worker 0", why)
			if now := p.workers(2, anybody); now[0] != pids[0] || now[1] != pids[1] {
				t.Errorf("the workers were %v and are %v", pids, now)
			}
			must(t, os.Remove(p.flag))
			p.signal(syscall.SIGHUP) // the next one goes well
			gone(t, pids)
			p.workers(2, other(pids))
			p.signal(syscall.SIGTERM)
			must(t, p.end())
		})
	}
}

// A SIGHUP may tell of a program that is newer than the one that the roll under way has started.
func TestRoll_IsFollowedByAnotherIfAskedForMeanwhile(t *testing.T) {
	t.Parallel()
	p := start(t, "serve")
	first := p.workers(2, anybody)
	p.signal(syscall.SIGHUP)
	p.says("a roll begins")
	p.signal(syscall.SIGHUP)
	gone(t, first)
	must(t, eventually(func() error {
		if n := strings.Count(p.output(), "the roll has replaced all workers"); n != 2 {
			return fmt.Errorf("%d rolls", n)
		}
		return nil
	}))
	p.signal(syscall.SIGTERM)
	must(t, p.end())
}

func TestRoll_AWorkerThatDiesMeanwhileIsReplaced(t *testing.T) {
	t.Parallel()
	p := start(t, "silent")
	pids := p.workers(2, anybody)
	must(t, os.WriteFile(p.flag, nil, 0o600))
	p.signal(syscall.SIGHUP) // its first new worker is never ready
	p.says("a roll begins")
	must(t, syscall.Kill(pids[0], syscall.SIGKILL))
	must(t, syscall.Kill(pids[1], syscall.SIGKILL))
	p.says("the roll stops at worker 0")
	must(t, os.Remove(p.flag))
	p.signal(syscall.SIGHUP) // for a worker that began while the file was there
	p.workers(2, other(pids))
	p.signal(syscall.SIGTERM)
	must(t, p.end())
}

// A deploy replaces the program, or moves a symbolic link on.
func TestRoll_StartsTheProgramThatIsAtItsPathNow(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(os.Args[0])
	must(t, err)
	for how, path := range map[string]string{"replaced": "program", "linked": "release/program"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			install := func(release string, size int) {
				t.Helper()
				must(t, os.MkdirAll(filepath.Join(dir, release), 0o700))
				file := filepath.Join(dir, release, "program")
				must(t, os.WriteFile(file, append(text[:len(text):len(text)], make([]byte, size)...), 0o700)) //nolint:gosec // G306: a program
				switch how {
				case "replaced":
					must(t, os.Rename(file, filepath.Join(dir, "program")))
				case "linked":
					must(t, os.Symlink(release, filepath.Join(dir, "new")))
					must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "release")))
				}
			}
			install("1", 0)
			p := start(t, "serve", func(p *program) { p.cmd.Path = filepath.Join(dir, path); p.cmd.Args[0] = p.cmd.Path })
			p.workers(2, func(a answer) bool { return a.Program == int64(len(text)) })
			install("2", 7)
			p.signal(syscall.SIGHUP)
			p.workers(2, func(a answer) bool { return a.Program == int64(len(text))+7 })
			p.says("the roll has replaced all workers")
			p.signal(syscall.SIGTERM)
			must(t, p.end())
		})
	}
}
