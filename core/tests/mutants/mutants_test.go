// SPDX-License-Identifier: Apache-2.0

package mutants

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	// mutantSeeds is in how many seeds the simulation must find a mutant. Most mutants need
	// a few, those that only concurrent scrapes notice some hundreds.
	mutantSeeds = 5000
	// plainSeeds only checks that the core works when it is built in this way. The core's own
	// test runs more.
	plainSeeds = 100
	// removalEvery says in which seeds of the simulation idle series are removed.
	removalEvery = 20
)

func TestSimulation_FindsEveryMutant(t *testing.T) {
	binary := build(t, mutants)
	t.Run("no mutant", func(t *testing.T) {
		t.Parallel()
		if out, err := simulate(t, binary, "", plainSeeds, 1); err != nil {
			t.Errorf("the simulation fails: %v\n%s", err, out)
		}
	})
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			every := 1
			if m.removal {
				every = removalEvery
			}
			out, err := simulate(t, binary, m.name, mutantSeeds, every)
			if err == nil {
				t.Fatalf("%d seeds did not notice that %s", mutantSeeds, m.breaks)
			}
			noticed := regexp.MustCompile(`seed \d+: after .*(` + m.noticed + `).*`).FindString(out)
			if noticed == "" {
				t.Fatalf("the simulation failed (%v), and no violation matches %q:\n%s", err, m.noticed, out)
			}
			t.Log(noticed)
		})
	}
}

// simulate runs one of every so many seeds of the simulation, as a mutant if it has a name, until
// one fails.
func simulate(t *testing.T, binary, mutant string, seeds, every int) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run=^TestSimulation$", fmt.Sprintf("-simulation.first=%d", every),
		fmt.Sprintf("-simulation.seeds=%d", seeds), fmt.Sprintf("-simulation.every=%d", every))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), chosen+"="+mutant)
	text, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(text)), err
}

func TestMutate_NamesTheFileThatLacksTheText(t *testing.T) {
	const core = "../.."
	for name, tt := range map[string]struct {
		edit edit
		says []string
	}{
		"moved":             {edit{"writer.go", "func (o *outbox) prev(", ""}, []string{"core/writer.go", "0 times", "it is in core/outbox.go"}},
		"twice":             {edit{"outbox.go", "o.newest", ""}, []string{"core/outbox.go", "times instead of once"}},
		"not in a function": {edit{"outbox.go", "package shoal", ""}, []string{"core/outbox.go", "in the body of no function"}},
		"no such file":      {edit{"gone.go", "x", ""}, []string{"gone.go"}},
	} {
		_, err := mutate(core, []mutant{{name: "example", edits: []edit{tt.edit}}})
		for _, want := range append(tt.says, "mutant example") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %v, want it to say %q", name, err, want)
			}
		}
	}
}
