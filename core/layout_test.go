// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package shoal

import (
	"testing"
	"unsafe"
)

func TestSeries_WhatIsCountedIsOffTheCacheLineThatEveryWriteReads(t *testing.T) {
	const line = 64
	var (
		s series
		c Counter
		g Gauge
	)
	if end := unsafe.Offsetof(s.state) + unsafe.Sizeof(s.state); end > line {
		t.Errorf("what every write reads ends at %d, want within %d", end, line)
	}
	for name, at := range map[string]uintptr{
		"Counter": unsafe.Offsetof(c.whole), "Gauge": unsafe.Offsetof(g.bits), "Total": unsafe.Offsetof(g.whole),
	} {
		if at < line {
			t.Errorf("what a %s counts begins at %d, want on the second line", name, at)
		}
	}
	// Go aligns an object to the largest power of two that divides its size class.
	for name, size := range map[string]uintptr{"Counter": unsafe.Sizeof(c), "Gauge": unsafe.Sizeof(g)} {
		if size != 2*line {
			t.Errorf("a %s has %d bytes, want two whole lines", name, size)
		}
	}
}
