// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// process1 makes the program under test process 1 of a namespace of its own, as in a container.
// A user other than root is root in a namespace of users.
func process1(p *program) {
	a := p.cmd.SysProcAttr
	a.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	if os.Getuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
}

func init() {
	programs["container"] = func() error {
		if !IsWorker() {
			if pid := os.Getpid(); pid != 1 {
				return fmt.Errorf("it is process %d", pid)
			}
			if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil { // of the namespace
				return fmt.Errorf("mounting /proc: %w", err)
			}
		}
		return programs["serve"]()
	}
}

// mayBeProcess1 skips the test where the system does not let it make namespaces.
func mayBeProcess1(t *testing.T) {
	t.Helper()
	p := start(t, "look", process1)
	if p.end() != nil {
		t.Skip("no namespace of processes is to be had")
	}
}

func TestProcess1_ReapsOrphansAndEndsInOrder(t *testing.T) {
	t.Parallel()
	mayBeProcess1(t)
	for name, s := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "container", process1)
			pids := p.workers(2, func(a answer) bool { return a.Parent == 1 })
			for range 5 {
				_, err := ask(p.addr, "/orphan")
				must(t, err)
			}
			zombies := func(ok func(n int) bool) {
				t.Helper()
				must(t, eventually(func() error {
					if a, err := ask(p.addr, "/"); err != nil || !ok(a.Zombies) {
						return fmt.Errorf("%d zombies, %v", a.Zombies, err)
					}
					return nil
				}))
			}
			zombies(func(n int) bool { return n > 0 })
			zombies(func(n int) bool { return n == 0 })
			p.signal(syscall.SIGHUP) // it rolls, and knows how its workers ended
			p.says("worker 0 has ended")
			p.says("the roll has replaced all workers")
			p.workers(2, other(pids))
			p.signal(s)
			must(t, p.end())
		})
	}
}
