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

// Benchmarks of which one turn takes seconds run in rounds of their own. One run
// of wrk says little, so it has many.
var (
	wholeRequests = regexp.MustCompile(`^BenchmarkWrk$`)
	slow          = regexp.MustCompile(`^Benchmark(Fleet|Memory)`)
)

// run measures, and adds the stored results of what it did not measure.
func (m measurement) run() (results, error) {
	dir, err := os.MkdirTemp("", "shoal-benchmarks-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The server of whole requests is built once for all pairs.
	server := filepath.Join(dir, "server")
	if err := build(".", "build", "-o", server, "./server"); err != nil {
		return nil, err
	}
	if err := os.Setenv("SHOAL_WRK_SERVER", server); err != nil {
		return nil, err
	}
	var quick, patient, whole []program
	for _, module := range modules {
		p := program{path: filepath.Join(dir, filepath.Base(module)+".test"), folder: module}
		if err := build(module, "test", "-c", "-o", p.path, "."); err != nil {
			return nil, err
		}
		names, err := m.wanted(p)
		if err != nil {
			return nil, err
		}
		quick = append(quick, p.of(names, func(name string) bool {
			return !slow.MatchString(name) && !wholeRequests.MatchString(name)
		}))
		patient = append(patient, p.of(names, slow.MatchString))
		whole = append(whole, p.of(names, func(name string) bool {
			return wholeRequests.MatchString(name) && m.wrkWanted()
		}))
	}
	raw := bytes.NewBufferString(m.environment())
	if err := errors.Join(
		m.repeat("round", m.rounds, quick, m.benchtime, raw),
		m.repeat("slow round", m.slow, patient, m.benchtime, raw),
		m.repeat("pair", m.pairs, whole, "1x", raw)); err != nil {
		return nil, err
	}
	found, err := parse(raw, "benchmarks")
	if err != nil || m.bench == "." {
		return found, err
	}
	before, err := load(stored)
	if errors.Is(err, os.ErrNotExist) {
		return found, nil
	}
	return before.replacedBy(found), err
}

// program is a module's benchmarks, compiled, and those of them to run.
type program struct {
	path, folder string
	benchmarks   []string
}

func (p program) of(names []string, which func(string) bool) program {
	for _, name := range names {
		if which(name) {
			p.benchmarks = append(p.benchmarks, name)
		}
	}
	return p
}

func (p program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...) //nolint:gosec // it was built by run
	cmd.Dir, cmd.Stderr = p.folder, os.Stderr
	return cmd
}

// wanted are the names of the benchmarks that may match, without what follows
// the slash.
func (m measurement) wanted(p program) ([]string, error) {
	first, _, _ := strings.Cut(m.bench, "/")
	pattern, err := regexp.Compile(first)
	if err != nil {
		return nil, err
	}
	out, err := p.command("-test.list=^Benchmark").Output()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range strings.Fields(string(out)) {
		if pattern.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// repeat runs the programs in turn, as many times as there are rounds.
func (m measurement) repeat(what string, rounds int, programs []program, benchtime string, raw io.Writer) error {
	_, rest, some := strings.Cut(m.bench, "/")
	if some {
		rest = "/" + rest
	}
	for round := range rounds {
		for _, p := range programs {
			if len(p.benchmarks) == 0 {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s %d of %d: %s\n", what, round+1, rounds, strings.Join(p.benchmarks, " "))
			cmd := p.command("-test.run=^$", "-test.benchmem", "-test.timeout=0", "-test.benchtime="+benchtime,
				"-test.bench=^("+strings.Join(p.benchmarks, "|")+")$"+rest)
			// Who waits sees each line as it comes.
			cmd.Stdout = io.MultiWriter(raw, os.Stderr)
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	return nil
}

func build(folder string, args ...string) error {
	cmd := exec.Command("go", args...) //nolint:gosec // the arguments are ours
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// wrkWanted tells whether wrk is to run, and says why not.
func (m measurement) wrkWanted() bool {
	if !m.wrk {
		return false
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		fmt.Fprintln(os.Stderr, "whole requests are not measured: wrk is missing; on Debian, as root: apt-get install wrk")
		return false
	}
	return true
}

// environment describes the run in configuration lines of the benchmark format;
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

// output is what a command prints, and "unknown" if it can't be run.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
