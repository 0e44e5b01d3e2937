// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

// The benchmarks of this program stand for those that the report runs. This environment
// variable says how they fail.
const trouble = "SHOAL_REPORT_TEST"

func BenchmarkWhole(b *testing.B) {
	b.Run("side=a", work)
	b.Run("side=b", func(b *testing.B) {
		switch os.Getenv(trouble) {
		case "fails":
			b.Fatal("no good")
		case "skips":
			b.Skip("not today")
		}
		work(b)
	})
}

func BenchmarkOther(b *testing.B) {
	if os.Getenv(trouble) == "skips" {
		b.Skip("not today")
	}
	work(b)
}

func work(b *testing.B) {
	for b.Loop() {
		_ = b
	}
}

func TestPattern_MatchesAsGoTestDoes(t *testing.T) {
	name := []string{"BenchmarkFlush", "counters=100", "side=shoal"}
	for text, want := range map[string]bool{
		".": true, "Flush": true, "^BenchmarkFlush$": true, "Inc|Flush": true, "Flush/counters": true,
		"Flush/counters=100/side=shoal": true, "/counters": true, "./=100$": true, "F[l/|]ush": true, "(Inc|Flush)/c": true,
		"Inc": false, "flush": false, "Flush/nosuch": false, "Inc|Scrape/counters": false,
		"Flush/counters=100/side=shoal/more": false, `Flush\/counters`: false, "Inc|Flush/nosuch": false,
	} {
		p, err := parsePattern(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := p.matches(name); got != want {
			t.Errorf("%s matches: %v", text, got)
		}
	}
	for _, text := range []string{"", "(", "[", "Flush/(", "a|*", "Flush/[z-a]"} {
		if _, err := (measurement{bench: text}).run(); err == nil || !strings.Contains(err.Error(), "-bench") {
			t.Errorf("%q: %v, want an error that says it of -bench", text, err)
		}
	}
}

func TestMeasure_OldFiguresAreNotShownForWhatWasNotMeasured(t *testing.T) {
	old := parsed(t, "date: 1\nBenchmarkWhole/side=a-2 1 1 ns/op\nBenchmarkWhole/side=b-2 1 1 ns/op\nBenchmarkOther-2 1 1 ns/op\n"+
		"BenchmarkWhole/side=gone-2 1 1 ns/op\n")
	known, stale := old[:3], old
	for _, tt := range []struct {
		bench, trouble string
		before         results
		rounds         int
		fault          string // empty for none
	}{
		{bench: ".", rounds: 2},
		{bench: "Whole", before: known, rounds: 1},
		{bench: "Whole/side=a", before: stale, rounds: 1},
		{bench: "Whole/side=a|Other", before: known, rounds: 1},
		{bench: "./side=b", before: known, rounds: 1},
		{bench: "Nosuch", before: known, rounds: 1, fault: "matches none of the benchmarks, which are BenchmarkOther, BenchmarkWhole"},
		{bench: "whole", before: known, rounds: 1, fault: "matches none"},
		{bench: "Whole/side=c", before: known, rounds: 1, fault: "nothing was measured"},
		{bench: "Whole/side=a/more", before: known, rounds: 1, fault: "nothing was measured"},
		{bench: "Whole|Nosuch", before: known, rounds: 1, fault: "nothing was measured that Nosuch matches"},
		{bench: "Whole/side=c|Other", before: known, rounds: 1, fault: "nothing was measured that Whole/side=c matches"},
		{bench: "Whole", before: known, fault: "nothing was measured"},
		{bench: ".", fault: "nothing was measured"},
		{bench: "Whole", before: stale, rounds: 1, fault: "BenchmarkWhole/side=gone"},
		{bench: "Whole", trouble: "fails", before: known, rounds: 1, fault: "exit status 1"},
		{bench: "Whole/side=a", trouble: "fails", before: known, rounds: 1},
		{bench: "Whole", trouble: "skips", before: known, rounds: 1, fault: "not measured: BenchmarkWhole/side=b;"},
		{bench: "Whole|Other", trouble: "skips", before: known, rounds: 1, fault: "nothing was measured that Other matches"},
		{bench: "Whole|Oth|er", trouble: "skips", rounds: 1, fault: "nothing was measured that Oth matches"},
		{bench: "e", trouble: "skips", before: known, rounds: 1, fault: "BenchmarkOther, BenchmarkWhole/side=b"},
		{bench: ".", trouble: "skips", rounds: 1, fault: "not measured: BenchmarkOther;"},
		{bench: "e", trouble: "skips", rounds: 1, fault: "not measured: BenchmarkOther;"},
	} {
		t.Run(tt.bench+" "+tt.trouble, func(t *testing.T) {
			t.Setenv(trouble, tt.trouble)
			m := measurement{bench: tt.bench, benchtime: "1x", rounds: tt.rounds}
			wanted, err := parsePattern(tt.bench)
			if err != nil {
				t.Fatal(err)
			}
			self := program{path: os.Args[0], folder: ".", benchmarks: []string{"BenchmarkOther", "BenchmarkWhole"}}
			found, err := m.measure(wanted, []program{self}, tt.before)
			switch {
			case tt.fault == "" && err != nil:
				t.Error(err)
			case tt.fault == "" && len(found) == 0:
				t.Error("no results")
			case tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)):
				t.Errorf("%v, want an error that says %q", err, tt.fault)
			}
		})
	}
}
