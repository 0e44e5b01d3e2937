// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os"
	"syscall"
)

// attributes make the parent under test the leader of a group, as a shell does, and let it die
// with the test even if that is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func dead(parent int) orphans {
	if os.Getppid() != parent {
		return nil
	}
	return zombies(parent)
}
