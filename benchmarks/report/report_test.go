// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `date: 1
go: 1.26
redis: 7
cpu: Chip
BenchmarkTest/op=inc/side=bare-2  1  100 ns/op  0 B/op  5e6 p99-ns
BenchmarkTest/op=inc/side=shoal-2  1  300 ns/op  1048 B/op  5e6 p99-ns
BenchmarkTest/op=inc/side=peer-2  1  500 ns/op  0 B/op  10e6 p99-ns
BenchmarkTest/op=inc/side=bare-2  1  1000 ns/op  0 B/op
BenchmarkTest/op=inc/side=shoal-2  1  1100 ns/op  1048 B/op
BenchmarkTest/op=inc/side=peer-2  1  2000 ns/op  0 B/op
BenchmarkTest/op=inc/side=bare-2  1  10000 ns/op  0 B/op
BenchmarkTest/op=inc/side=shoal-2  1  10150 ns/op  1048 B/op
BenchmarkTest/op=inc/side=peer-2  1  10300 ns/op  0 B/op
`

func parsed(t *testing.T, text string) results {
	t.Helper()
	found, err := parse(strings.NewReader(text), "sample")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTable_DifferencesAndRatiosAreTakenWithinARound(t *testing.T) {
	got := table{
		bench: "Test", head: "what | by",
		rows: []row{
			{title: "Inc | us", keys: "op=inc side=shoal", peer: "side=peer"},
			{title: "Dec | us", keys: "op=dec side=shoal"},
		},
		columns: []column{
			{title: "time"},
			{title: "over bare", minus: "side=bare"},
			{title: "ratio", minus: "side=bare", over: "peer"},
			{title: "bytes", unit: "B/op"},
			{title: "p99", unit: "p99-ns"},
		},
	}.render(parsed(t, sample))
	want := `| what | by | time | over bare | ratio | bytes | p99 |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| Inc | us | 1.1 µs | 150 ns | 0.50 (0.10–0.50) | 1.0 kB | 5 ms |
| Dec | us | – | – | – | – | – |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestGoal_TheMedianDecides(t *testing.T) {
	found := parsed(t, sample) // the ratios are 0.6, 0.55 and 0.99
	for _, g := range []struct {
		goal
		wanted, verdict string
	}{
		{goal{keys: "Test op=inc side=shoal", column: column{over: "side=peer"}, limit: 0.6}, "≤ 0.60", "met"},
		{goal{keys: "Test op=inc side=shoal", column: column{over: "side=peer"}, limit: 0.59}, "≤ 0.59", "**missed**"},
		{goal{keys: "Test op=inc side=shoal", column: column{over: "side=peer"}, limit: 0.61, least: true}, "≥ 0.61", "**missed**"},
		{goal{keys: "Test op=inc side=shoal", column: column{minus: "side=bare"}, limit: 151e-9}, "≤ 151 ns", "met"},
		{goal{keys: "Test op=inc side=shoal", column: column{minus: "side=bare"}, limit: 149e-9}, "≤ 149 ns", "**missed**"},
		{goal{keys: "Test op=dec side=shoal"}, "≤ 0 ns", "not measured yet"},
	} {
		if wanted, verdict := g.goal.wanted(), g.goal.verdict(found); wanted != g.wanted || verdict != g.verdict {
			t.Errorf("got %s: %s, want %s: %s", wanted, verdict, g.wanted, g.verdict)
		}
	}
}

func TestTable_RunsAreNotComparedWithEachOther(t *testing.T) {
	found := parsed(t, "BenchmarkTest/side=shoal-2 1 1 ns/op\ndate: 2\nBenchmarkTest/side=peer-2 1 2 ns/op\n")
	c := column{keys: "side=shoal", over: "side=peer"}
	if got := c.cell("Test", "", found); got != none {
		t.Errorf("got %s", got)
	}
}

func TestMachine_TellsOfEachRunWhatItMeasured(t *testing.T) {
	got := parsed(t, "run: once\ndate: 2026-11-25T1\ngo: 1.26\nredis: 7\ncommit: a\ncpu: Chip \n"+
		"BenchmarkA/x=1-2 1 1 ns/op\nBenchmarkA/x=2-2 1 1 ns/op\nBenchmarkB-2 1 1 ns/op\n"+
		"run: again\nBenchmarkA/x=1-2 1 1 ns/op\n").machine()
	want := `| | |
| --- | --- |
| A, B | once; Chip, 2 cores, Go 1.26, Redis 7, 2026-11-25, commit a |
| A | again; Chip, 2 cores, Go 1.26, Redis 7, 2026-11-25, commit a |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestResults_ANewRunReplacesWhatItMeasured(t *testing.T) {
	old := parsed(t, "date: 1\nBenchmarkA-2 1 1 ns/op\nBenchmarkB-2 1 1 ns/op\n")
	file := filepath.Join(t.TempDir(), stored)
	if err := old.replacedBy(parsed(t, "date: 2\nBenchmarkB-2 1 2 ns/op\n")).store(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "date: 1\n\nBenchmarkA-2 1 1 ns/op\n\ndate: 2\n\nBenchmarkB-2 1 2 ns/op\n"; strings.TrimSpace(string(got)) != strings.TrimSpace(want) {
		t.Errorf("got\n%s", got)
	}
}

func TestResults_ThoseOfAnOlderCommitStandBesideThePresentOnes(t *testing.T) {
	dir := t.TempDir()
	now, before := filepath.Join(dir, stored), filepath.Join(dir, older)
	for file, text := range map[string]string{now: "BenchmarkA-2 1 1 allocs/op\n", before: "BenchmarkA-2 1 3 allocs/op\n"} {
		if err := parsed(t, text).store(file); err != nil {
			t.Fatal(err)
		}
	}
	found, err := loadBoth(now, before)
	if err != nil {
		t.Fatal(err)
	}
	got := table{bench: "A", rows: []row{{title: "a"}}, columns: beforeAndNow(column{title: "allocations", unit: "allocs/op"})}.render(found)
	if want := "|  | allocations: before | now |\n| --- | ---: | ---: |\n| a | 3 | 1 |\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Each table renders from results in which every benchmark that it names has the same
// value.
func TestTables_EachRenders(t *testing.T) {
	for _, table := range tables {
		for _, r := range table.rows {
			for _, c := range table.columns {
				if r.peer == "" && c.over == "peer" {
					continue
				}
				var text strings.Builder
				if c.before {
					text.WriteString(codeKey + ": " + codeBefore + "\n")
				}
				for _, keys := range []string{"", c.minus, c.over, c.minus + " " + c.over, c.over + " " + c.minus} {
					want := merged(table.bench, r.keys, strings.ReplaceAll(c.keys+" "+keys, "peer", r.peer))
					text.WriteString("Benchmark" + want[""])
					for key, value := range want {
						if key != "" {
							text.WriteString("/" + key + "=" + value)
						}
					}
					text.WriteString("-2 1 7 " + c.inUnit() + "\n")
				}
				if cell := c.cell(table.bench+" "+r.keys, r.peer, parsed(t, text.String())); cell == none {
					t.Errorf("table %s, row %s, column %s: no figure in\n%s", table.name, r.title, c.title, text.String())
				}
			}
		}
	}
}

// No figure is written by hand: the tables of the documents equal those from the stored
// results, each table is in a document, and none lacks a result.
func TestDocuments_TablesAreTheStoredResults(t *testing.T) {
	found, err := loadBoth(filepath.Join("..", stored), filepath.Join("..", older))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, file := range documents {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		filled, err := fill(text, found)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if string(filled) != string(text) {
			t.Errorf("%s: tables differ from results.txt: in the folder benchmarks, go run ./report -from %s", file, stored)
		}
		for _, m := range marked.FindAllSubmatch(text, -1) {
			shown[string(m[1])] = true
		}
		if opened := strings.Count(string(text), "<!-- table:"); opened != len(marked.FindAll(text, -1)) || opened != strings.Count(string(text), "<!-- end -->") {
			t.Errorf("%s: a table's begin or end is missing", file)
		}
	}
	for _, table := range tables {
		if !shown[table.name] {
			t.Errorf("no document shows the table %s", table.name)
		}
	}
	for _, gap := range gaps(found) {
		t.Error(gap)
	}
}
