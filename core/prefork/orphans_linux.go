// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// orphans are dead processes whose parent died before them: they become children of process 1, the
// first of a container, which has to take their exit status so that they go away. A program that
// runs as process 1 does not know them.
type orphans map[zombie]bool

// zombie is a dead process whose exit status nobody has taken.
type zombie struct {
	pid   int
	began string // by which it is told from a later one with the same number
}

// reap takes the exit status of each child that was dead the last time already: by then somebody
// who waits for it would have taken it. So it takes none that the program waits for.
func (p *parent) reap() {
	dead := zombies(os.Getpid())
	for w := range p.living {
		for z := range dead {
			if z.pid == w.pid() {
				delete(dead, z)
			}
		}
	}
	for z := range dead {
		if p.orphans[z] {
			_, _ = syscall.Wait4(z.pid, nil, syscall.WNOHANG, nil)
		}
	}
	p.orphans = dead
}

// zombies lists the dead children of a process.
func zombies(parent int) orphans {
	found := orphans{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it has gone
		}
		// "pid (name) state parent …", and the 22nd is its start. The name may hold anything.
		text := string(stat)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 19 && fields[0] == "Z" && fields[1] == strconv.Itoa(parent) {
			found[zombie{pid, fields[19]}] = true
		}
	}
	return found
}
