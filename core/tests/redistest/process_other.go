// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package redistest

import "syscall"

// processAttributes make the server the leader of a group, so that its children
// (BGSAVE) can be killed with it.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
