// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
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
	tree                string // the repository whose code is measured
	into                string // the file of the results
}

// modules are the folders of the benchmarks, each a module of its own.
var modules = []string{".", "peers"}

// Benchmarks whose iterations take seconds run in rounds of their own. Runs of wrk differ
// much, so there are many.
var (
	wholeRequests = regexp.MustCompile(`^BenchmarkWrk$`)
	slow          = regexp.MustCompile(`^Benchmark(Fleet|Memory|FirstPage|News|AwaitedAdd|Resets|NarrowLine|NewSeries|Delete|ShortLived|Lease)`)
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
	if err := m.build(dir, ".", "build", "-o", server, "./server"); err != nil {
		return nil, err
	}
	if err := os.Setenv("SHOAL_WRK_SERVER", server); err != nil {
		return nil, err
	}
	tree, err := filepath.Abs(m.tree)
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("SHOAL_TREE", tree); err != nil {
		return nil, err
	}
	programs := make([]program, len(modules))
	for i, module := range modules {
		p := program{path: filepath.Join(dir, filepath.Base(module)+".test"), folder: module}
		if err := m.build(dir, module, "test", "-c", "-o", p.path, "."); err != nil {
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
	found, err := load(m.into)
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

// build builds in a module. Of another tree it takes what the module replaces by folders of the
// repository, but not the tests, which have the servers and lines.
func (m measurement) build(dir, module string, args ...string) error {
	cmd := exec.Command("go", args...)
	if m.tree != home {
		file, err := m.replaced(dir, module)
		if err != nil {
			return err
		}
		cmd.Args = slices.Insert(cmd.Args, 2, "-modfile="+file)
		cmd.Env = append(os.Environ(), "GOWORK=off")
	}
	cmd.Dir, cmd.Stderr = module, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

// replaced writes the go.mod of a module with another tree to dir.
func (m measurement) replaced(dir, module string) (file string, err error) {
	tree, err := filepath.Abs(m.tree)
	if err != nil {
		return "", err
	}
	here, err := filepath.Abs(home)
	if err != nil {
		return "", err
	}
	text, err := exec.Command("go", "mod", "edit", "-json", filepath.Join(module, "go.mod")).Output()
	if err != nil {
		return "", err
	}
	var mod struct {
		Replace []struct{ Old, New struct{ Path string } }
	}
	if err := json.Unmarshal(text, &mod); err != nil {
		return "", err
	}
	file = filepath.Join(dir, filepath.Base(module)+".mod")
	for from, to := range map[string]string{"go.mod": file, "go.sum": strings.TrimSuffix(file, ".mod") + ".sum"} {
		content, err := os.ReadFile(filepath.Join(module, from))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return "", err
		}
	}
	edit := []string{"mod", "edit"}
	for _, r := range mod.Replace {
		folder, err := filepath.Abs(filepath.Join(module, r.New.Path))
		if err != nil {
			return "", err
		}
		inside, err := filepath.Rel(here, folder)
		if err != nil {
			return "", err
		}
		if inside != filepath.Join("core", "tests") {
			edit = append(edit, "-replace="+r.Old.Path+"="+filepath.Join(tree, inside))
		}
	}
	return file, exec.Command("go", append(edit, file)...).Run()
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
		output("git", "-C", m.tree, "describe", "--always", "--dirty"),
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
