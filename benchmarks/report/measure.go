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
	bench, benchtime string
	rounds, pairs    int
	wrk              bool
}

// wholeRequests is the benchmark that runs wrk. One run of it takes seconds and
// says little, so it has rounds of its own.
const wholeRequests = "BenchmarkWrk"

// run measures, and adds the stored results of what it did not measure.
func (m measurement) run() (results, error) {
	dir, err := os.MkdirTemp("", "shoal-benchmarks-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, server := filepath.Join(dir, "benchmarks.test"), filepath.Join(dir, "server")
	if err := build("test", "-c", "-o", binary, "."); err != nil {
		return nil, err
	}
	if err := build("build", "-o", server, "./server"); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	raw.WriteString(environment())
	once := func(args ...string) error {
		args = append([]string{"-test.run=^$", "-test.benchmem", "-test.timeout=0"}, args...)
		cmd := exec.Command(binary, args...) //nolint:gosec // built above
		cmd.Env = append(os.Environ(), "SHOAL_WRK_SERVER="+server)
		// Who waits sees each line as it comes.
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&raw, os.Stderr), os.Stderr
		return cmd.Run()
	}
	for round := range m.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, m.rounds)
		if err := once("-test.bench="+m.bench, "-test.skip=^"+wholeRequests, "-test.benchtime="+m.benchtime); err != nil {
			return nil, err
		}
	}
	if m.pairsWanted() {
		for pair := range m.pairs {
			fmt.Fprintf(os.Stderr, "pair %d of %d\n", pair+1, m.pairs)
			if err := once("-test.bench=^"+wholeRequests, "-test.benchtime=1x"); err != nil {
				return nil, err
			}
		}
	}
	found, err := parse(&raw, "benchmarks")
	if err != nil || m.bench == "." {
		return found, err
	}
	before, err := load(stored)
	if errors.Is(err, os.ErrNotExist) {
		return found, nil
	}
	return before.replacedBy(found), err
}

func build(args ...string) error {
	cmd := exec.Command("go", args...) //nolint:gosec // the arguments are ours
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// pairsWanted tells whether wrk is to run, and says why not.
func (m measurement) pairsWanted() bool {
	first, _, _ := strings.Cut(m.bench, "/")
	if wanted, err := regexp.MatchString(first, wholeRequests); err != nil || !wanted || !m.wrk {
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
func environment() string {
	return fmt.Sprintf("date: %s\ncommit: %s\ngo: %s\nredis: %s\n",
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
