// SPDX-License-Identifier: Apache-2.0

package redistest

import "syscall"

// processAttributes make the server the leader of a group, so that its children
// (BGSAVE) can be killed with it, and make it die with the test even if that is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
