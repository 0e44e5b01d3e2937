// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"io"
	"syscall"
)

// copySource is the source of a ReadFrom. It tells the exchange what was sent while
// the copy runs, since ReadFrom never returns if its source panics.
type copySource struct {
	src  io.Reader
	w    *responseWriter
	last int64 // bytes of the last Read, which may not be sent yet
	told int64 // bytes that the exchange knows
}

func (c *copySource) Read(b []byte) (int, error) {
	// The caller reads again only when it has sent what it read before.
	c.w.noteCopied(c.last, nil)
	c.told += c.last
	c.last = 0
	n, err := c.src.Read(b)
	c.last = int64(n)
	return n, err
}

// copiedByKernel says whether net/http may have the kernel send src, as it does with
// files and connections. In a copySource they would go through this process's memory;
// they need none, since their Read does not panic.
func copiedByKernel(src io.Reader) bool {
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	_, ok := src.(syscall.Conn)
	return ok
}
