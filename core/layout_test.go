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
		series    series
		counter   Counter
		gauge     Gauge
		summary   Summary
		histogram Histogram
	)
	if end := unsafe.Offsetof(series.state) + unsafe.Sizeof(series.state); end > line {
		t.Errorf("what every write reads ends at %d, want within %d", end, line)
	}
	for name, at := range map[string]uintptr{
		"Counter": unsafe.Offsetof(counter.sum), "Gauge": unsafe.Offsetof(gauge.sum),
		"Summary": unsafe.Offsetof(summary.sum), "Histogram": unsafe.Offsetof(histogram.sum),
	} {
		if at < line {
			t.Errorf("what a %s counts begins at %d, want on the second line", name, at)
		}
	}
	// Go aligns an object to the largest power of two that divides its size class.
	for name, size := range map[string]struct{ got, want uintptr }{
		"Counter": {unsafe.Sizeof(counter), 2 * line}, "Gauge": {unsafe.Sizeof(gauge), 2 * line},
		"Summary": {unsafe.Sizeof(summary), 2 * line}, "Histogram": {unsafe.Sizeof(histogram), 3 * line},
	} {
		if size.got != size.want {
			t.Errorf("a %s has %d bytes, want whole lines: %d", name, size.got, size.want)
		}
	}
}

func TestCells_EachHasItsOwnCacheLines(t *testing.T) {
	const line = 64
	for cores := 1; cores <= 200; cores++ {
		for _, n := range []int{0, 7, 8, 13} {
			c := newCells(cores, n)
			for i := range c.list {
				if at := uintptr(unsafe.Pointer(&c.list[i])); at%line != 0 || unsafe.Sizeof(c.list[i]) != line {
					t.Fatalf("of %d cells with %d counts, number %d is at %#x", cores, n, i, at)
				}
				if c.counts == nil {
					continue
				}
				if at := uintptr(unsafe.Pointer(&c.countsOf(i)[0])); at%line != 0 {
					t.Fatalf("of %d cells with %d counts, those of number %d are at %#x", cores, n, i, at)
				}
			}
		}
	}
}
