// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// measurement is what to run, and how often.
type measurement struct {
	bench, benchtime    string
	rounds, slow, pairs int
	wrk                 bool
}

// modules are the folders of the benchmarks, each a module of its own.
var modules = []string{".", "peers"}

// Benchmarks whose iterations take seconds run in rounds of their own. Runs of wrk differ
// much, so there are many.
var (
	wholeRequests = regexp.MustCompile(`^BenchmarkWrk$`)
	slow          = regexp.MustCompile(`^Benchmark(Fleet|Memory)`)
)

// run measures, and adds the stored results of benchmarks that the pattern does not match.
func (m measurement) run() (results, error) {
	wanted, err := parsePattern(m.bench)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "shoal-benchmarks-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The server for wrk is built once for all pairs.
	server := filepath.Join(dir, "server")
	if err := build(".", "build", "-o", server, "./server"); err != nil {
		return nil, err
	}
	if err := os.Setenv("SHOAL_WRK_SERVER", server); err != nil {
		return nil, err
	}
	programs := make([]program, len(modules))
	for i, module := range modules {
		p := program{path: filepath.Join(dir, filepath.Base(module)+".test"), folder: module}
		if err := build(module, "test", "-c", "-o", p.path, "."); err != nil {
			return nil, err
		}
		list, err := p.command("-test.list=^Benchmark").Output()
		if err != nil {
			return nil, err
		}
		p.benchmarks = strings.Fields(string(list))
		programs[i] = p
	}
	before, err := m.before()
	if err != nil {
		return nil, err
	}
	found, err := m.measure(wanted, programs, before)
	if err != nil {
		return nil, err
	}
	return before.replacedBy(found), nil
}

// before returns the stored results, or none if everything is measured.
func (m measurement) before() (results, error) {
	if m.bench == "." {
		return nil, nil
	}
	found, err := load(stored)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return found, err
}

// measure runs the wanted benchmarks. It is an error if one of them gives no result.
func (m measurement) measure(wanted pattern, programs []program, before results) (results, error) {
	var benchmarks []string
	for _, p := range programs {
		benchmarks = append(benchmarks, p.benchmarks...)
	}
	if !slices.ContainsFunc(benchmarks, wanted.begins) {
		return nil, fmt.Errorf("-bench %q matches none of the benchmarks, which are %s", m.bench, strings.Join(benchmarks, ", "))
	}
	raw := bytes.NewBufferString(m.environment())
	for _, group := range []group{
		{"round", m.rounds, m.benchtime, func(name string) bool {
			return !slow.MatchString(name) && !wholeRequests.MatchString(name)
		}},
		{"slow round", m.slow, m.benchtime, slow.MatchString},
		{"pair", m.wrkPairs(), "1x", wholeRequests.MatchString},
	} {
		if err := m.repeat(group, programs, raw); err != nil {
			return nil, err
		}
	}
	found, err := parse(raw, "benchmarks")
	if err != nil {
		return nil, err
	}
	return found, m.complete(wanted, benchmarks, before, found)
}

// group is benchmarks that run in the same rounds.
type group struct {
	round     string // the name of a round in the output
	rounds    int
	benchtime string
	has       func(benchmark string) bool
}

// program is a module's benchmarks, compiled.
type program struct {
	path, folder string
	benchmarks   []string // the names of all
}

func (p program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...)
	cmd.Dir, cmd.Stderr = p.folder, os.Stderr
	return cmd
}

// repeat runs the wanted benchmarks of a group, in one program after the other, and
// writes the results to raw.
func (m measurement) repeat(g group, programs []program, raw io.Writer) error {
	for round := range g.rounds {
		var useful []program
		for _, p := range programs {
			fmt.Fprintf(os.Stderr, "%s %d of %d\n", g.round, round+1, g.rounds)
			others := slices.DeleteFunc(slices.Clone(p.benchmarks), g.has)
			cmd := p.command("-test.run=^$", "-test.benchmem", "-test.timeout=0", "-test.benchtime="+g.benchtime,
				"-test.bench="+m.bench, "-test.skip=^("+strings.Join(others, "|")+")$")
			var found bytes.Buffer
			// Shows progress.
			cmd.Stdout = io.MultiWriter(&found, os.Stderr)
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s: %w", g.round, err)
			}
			if bytes.Contains(found.Bytes(), []byte("\nBenchmark")) {
				useful = append(useful, p)
			}
			if _, err := raw.Write(found.Bytes()); err != nil {
				return err
			}
		}
		programs = useful // the others have none of these benchmarks
	}
	return nil
}

func build(folder string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// wrkPairs returns how many pairs to run. If wrk is missing there are none, and it prints
// that.
func (m measurement) wrkPairs() int {
	if !m.wrk {
		return 0
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		fmt.Fprintln(os.Stderr, "whole requests are not measured: wrk is missing; on Debian, as root: apt-get install wrk")
		return 0
	}
	return m.pairs
}

// environment describes the run in configuration lines of the benchmark format.
// go test adds the processor.
func (m measurement) environment() string {
	return fmt.Sprintf("run: %d rounds of %s, %d slow ones, %d pairs\ndate: %s\ncommit: %s\ngo: %s\nredis: %s\n",
		m.rounds, m.benchtime, m.slow, m.pairs,
		time.Now().UTC().Format("2006-01-02T15:04:05Z"),
		output("git", "describe", "--always", "--dirty"),
		strings.TrimPrefix(runtime.Version(), "go"),
		redisVersion.FindString(output("redis-server", "--version")))
}

var redisVersion = regexp.MustCompile(`\d+(\.\d+)+`)

// output returns what a command prints, or "unknown" if it can't be run.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
