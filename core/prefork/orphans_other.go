// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package prefork

// orphans are of Linux, where containers are.
type orphans struct{}

func (p *parent) reap() {}
