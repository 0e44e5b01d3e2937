// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"io"
	"syscall"
)

// copied is the source of a ReadFrom. It tells the exchange what was sent while
// the copy runs, since a source that panics never lets ReadFrom return.
type copied struct {
	src  io.Reader
	to   *responseWriter
	last int64 // bytes of the last Read, which may not be sent yet
	told int64 // bytes that the exchange knows
}

func (c *copied) Read(b []byte) (int, error) {
	// Who reads on has sent what it read before.
	c.to.copied(c.last, nil)
	c.told += c.last
	c.last = 0
	n, err := c.src.Read(b)
	c.last = int64(n)
	return n, err
}

// copiedByKernel says whether net/http may have the kernel send src, as it does
// with files and connections, whose Read does not panic. Wrapped, they would go
// through this process's memory.
func copiedByKernel(src io.Reader) bool {
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	_, ok := src.(syscall.Conn)
	return ok
}
