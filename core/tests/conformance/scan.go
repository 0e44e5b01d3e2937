// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// wantScanned fails the test unless a scan has so many series of those that numbered makes.
func (f *fixture) wantScanned(scan *wire.Scan, n int) {
	f.Helper()
	seen := map[string]bool{}
	for _, one := range scan.Series {
		seen[one.Field] = true
	}
	for i := range n {
		if !seen[numberedField(i)] {
			f.Fatalf("%s: a scan lacks %q", scan.Family, numberedField(i))
		}
	}
	if len(scan.Series) != n || !scan.Done || scan.Err != nil {
		f.Errorf("%s: a scan finds %d of %d series, done %v, %v", scan.Family, len(scan.Series), n, scan.Done, scan.Err)
	}
}

// scanned makes families with these numbers of series.
func (f *fixture) scanned(sizes ...int) (scans []*wire.Scan) {
	f.Helper()
	for i, size := range sizes {
		name := fmt.Sprintf("f%d", i)
		gen := f.family(name, wire.TypeCounter)
		for n := range (size + 499) / 500 {
			f.apply(batch(name, gen, uint64(n), uint64(n)+1, numbered(500*n, min(500*n+500, size))...))
		}
		scans = append(scans, &wire.Scan{Family: name})
	}
	return scans
}

var scanTests = map[string]func(f *fixture){
	"Scan_ManyFamiliesAtOnce": func(f *fixture) {
		sizes := []int{3500, 0, 1, 1200}
		for n := range 40 {
			sizes = append(sizes, n)
		}
		scans := f.scanned(sizes...)
		absent := &wire.Scan{Family: "absent"}
		for range 2 { // what is done is not scanned again
			if err := f.store.Scan(f.ctx, append(scans, absent), wire.MaxPage); err != nil {
				f.Fatal(err)
			}
			for i, scan := range scans {
				f.wantScanned(scan, sizes[i])
			}
			f.wantScanned(absent, 0)
		}
		if err := f.store.Scan(f.ctx, nil, wire.MaxPage); err != nil {
			f.Error(err)
		}
	},
	"Scan_OneThatIsTooLargeIsGivenUpAlone": func(f *fixture) {
		scans := f.scanned(20, 2000, 30)
		for range 2 {
			if err := f.store.Scan(f.ctx, scans, 50_000); err != nil {
				f.Fatal(err)
			}
			f.wantScanned(scans[0], 20)
			f.wantScanned(scans[2], 30)
			if s := scans[1]; !errors.Is(s.Err, wire.ErrTooLarge) || len(s.Series) > 0 {
				f.Errorf("%d series, %v", len(s.Series), s.Err)
			}
		}
	},
	"Scan_WhoseContextHasEndedGoesOnLater": func(f *fixture) {
		scans := f.scanned(1500, 10)
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		if err := f.store.Scan(ctx, scans, wire.MaxPage); !errors.Is(err, context.Canceled) {
			f.Errorf("a scan ends with %v", err)
		}
		if err := f.store.Scan(f.ctx, scans, wire.MaxPage); err != nil {
			f.Fatal(err)
		}
		f.wantScanned(scans[0], 1500)
		f.wantScanned(scans[1], 10)
	},
}
