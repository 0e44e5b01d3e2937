// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package prefork

import "syscall"

// attributes make the parent under test the leader of a group, as a shell does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func dead(int) []int { return nil }
