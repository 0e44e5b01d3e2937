// SPDX-License-Identifier: Apache-2.0

// Report measures all figures of the documents and writes them there, so that none is
// written by hand. In the folder benchmarks:
//
//	go run ./report
//
// It builds the benchmarks of both modules once and runs them in rounds. In a round each
// benchmark runs once, and the sides of a name follow each other, so that a busy machine
// slows all sides alike. The raw results are in results.txt, which benchstat reads; the
// tables declared in tables.go are written between their markers in the documents.
//
//	go run ./report -bench Flush          # measure these again, keep the other results;
//	                                      # an error if a matching benchmark gives no result
//	go run ./report -from results.txt     # measure nothing, only write the tables
//	go run ./report -update=false         # only print the tables
//
// The tables of growth show an older commit beside the present code, from before.txt. Of a
// worktree of that commit (git worktree add DIR COMMIT) the same benchmarks are measured by
//
//	go run ./report -tree DIR -into before.txt -bench FirstPage
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
)

const (
	stored = "results.txt"
	older  = "before.txt" // of an older commit
	home   = ".."         // this repository, from the folder benchmarks
)

// documents are those with tables, by their paths from the folder benchmarks.
var documents = []string{"../docs/performance.md", "../README.md"}

func main() {
	var m measurement
	flag.IntVar(&m.rounds, "rounds", 6, "rounds of all benchmarks")
	flag.IntVar(&m.slow, "slow", 3, "rounds of the benchmarks that take long")
	flag.StringVar(&m.bench, "bench", ".", "regular expression of the benchmarks to run; results of others are kept")
	flag.StringVar(&m.benchtime, "benchtime", "300ms", "time for each benchmark in a round, or a number of iterations such as 5x")
	flag.BoolVar(&m.wrk, "wrk", true, "load a real server with wrk too")
	flag.IntVar(&m.pairs, "pairs", 20, "pairs of wrk runs")
	flag.StringVar(&m.tree, "tree", home, "repository whose code is measured by the benchmarks of this one")
	flag.StringVar(&m.into, "into", stored, "file of the results; the tables show those of "+stored+", and those of "+older+" as before")
	from := flag.String("from", "", "a file of results to render, in place of measuring")
	update := flag.Bool("update", true, "write results and documents; else print the tables")
	flag.Parse()
	if err := report(m, *from, *update); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func report(m measurement, from string, update bool) error {
	if _, err := os.Stat("report/tables.go"); err != nil {
		return errors.New("run it in the folder benchmarks: go run ./report")
	}
	found, err := m.collect(from, update)
	if err != nil {
		return err
	}
	for _, complaint := range gaps(found) {
		fmt.Fprintln(os.Stderr, complaint)
	}
	if !update {
		for _, t := range tables {
			fmt.Printf("%s\n\n%s\n", t.name, t.render(found))
		}
		return nil
	}
	for _, file := range documents {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		filled, err := fill(text, found)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if bytes.Equal(text, filled) {
			continue
		}
		if err := os.WriteFile(file, filled, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "wrote", file)
	}
	return nil
}

// collect measures unless it is to take the results from a file, and adds those of the older commit.
func (m measurement) collect(from string, update bool) (results, error) {
	if from == "" {
		found, err := m.run()
		if err != nil {
			return nil, err
		}
		if !update {
			return found, nil
		}
		if err := found.store(m.into); err != nil {
			return nil, err
		}
		from = stored
	}
	return loadBoth(from, older)
}
