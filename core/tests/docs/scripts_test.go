// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1.
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

const scriptsDir = "core/internal/wire/"

// scriptRow is what docs/protocol.md says of a script: the names of its keys and
// arguments, in order. An argument that may come any number of times is the last, or
// a list and followed by nothing but lists; it ends in an ellipsis. One in parentheses
// is a group that is repeated as a whole.
type scriptRow struct{ keys, args []string }

var backticked = regexp.MustCompile("`([^`]*)`")

// scriptTable reads the table of scripts of docs/protocol.md.
func scriptTable(t *testing.T) map[string]scriptRow {
	t.Helper()
	_, section, found := strings.Cut(read(t, "docs/protocol.md"), "\n## Scripts\n")
	if !found {
		t.Fatal("docs/protocol.md has no section Scripts")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	names := func(cell string) (list []string) {
		for _, m := range backticked.FindAllStringSubmatch(cell, -1) {
			list = append(list, m[1])
		}
		return list
	}
	table := map[string]scriptRow{}
	for line := range strings.Lines(section) {
		script, cells, found := strings.Cut(line, ".lua) | ")
		if !found {
			continue
		}
		_, script, _ = strings.Cut(script, "("+"../"+scriptsDir)
		columns := strings.Split(cells, " | ")
		if len(columns) != 3 || !strings.HasPrefix(line, "| ["+script+"](") {
			t.Errorf("not a row of the table: %s", line)
			continue
		}
		table[script] = scriptRow{names(columns[0]), names(columns[1])}
	}
	return table
}

// scripts lists the scripts and their sources.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, scriptsDir, "*.lua"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	sources := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		sources[strings.TrimSuffix(name, ".lua")] = read(t, scriptsDir+name)
	}
	return sources
}

// entry begins an entry in the head of a script: its number and two spaces, or an
// ellipsis if it stands for all that follow. Several may share a line.
var entry = regexp.MustCompile(`(?:^|\s{2,})(\d+)(?:(…)\s+|\s{2,})`)

// headList reads the list KEYS or ARGV in the head of a script: a description for each
// entry, and whether the last stands for all that follow. Lines without a number go on
// with the description above.
func headList(source, list string) (entries []string, more bool) {
	var text strings.Builder
	inside := false
	for line := range strings.Lines(source) {
		line, isComment := strings.CutPrefix(strings.TrimRight(line, "\n"), "--")
		word := strings.TrimSpace(line)
		switch {
		case !isComment, word == "" && inside:
			inside = false
		case strings.HasPrefix(word, list+" "):
			inside = true
			text.WriteString("  " + strings.TrimPrefix(word, list))
		case inside && !strings.HasPrefix(line, "  "): // the next list begins
			inside = false
		case inside:
			text.WriteString(line)
		}
	}
	all := text.String()
	from := 0
	for _, m := range entry.FindAllStringSubmatchIndex(all, -1) {
		if all[m[2]:m[3]] != strconv.Itoa(len(entries)+1) {
			continue // a number in a description
		}
		if len(entries) > 0 {
			entries[len(entries)-1] = all[from:m[0]]
		}
		entries, from, more = append(entries, all[m[1]:]), m[1], m[4] >= 0
	}
	return entries, more
}

// Each entry in a script's head says the name that the document gives to this argument,
// so that neither can be changed alone.
func TestProtocol_ScriptsAndTheirHeadsTakeTheArgumentsOfTheTable(t *testing.T) {
	table, sources := scriptTable(t), scripts(t)
	if documented, there := slices.Sorted(maps.Keys(table)), slices.Sorted(maps.Keys(sources)); !slices.Equal(documented, there) {
		t.Fatalf("docs/protocol.md has the scripts %q, and there are %q", documented, there)
	}
	for script, source := range sources {
		row := table[script]
		keys, _ := headList(source, "KEYS")
		if want := script[strings.LastIndex(script, "-")+1:]; strconv.Itoa(len(keys)) != want || len(row.keys) != len(keys) {
			t.Errorf("%s: its name says %s keys, its head has %d, and docs/protocol.md %d", script, want, len(keys), len(row.keys))
		}
		args, more := headList(source, "ARGV")
		fixed := fixedArgs(row.args)
		if len(args) < len(fixed) || more != (len(fixed) < len(row.args)) || !more && len(args) != len(fixed) || more && len(args) != len(fixed)+1 {
			t.Errorf("%s: the head has the arguments %q, and docs/protocol.md %q", script, args, row.args)
			continue
		}
		for i, name := range fixed {
			if !strings.Contains(args[i], name) {
				t.Errorf("%s: docs/protocol.md calls argument %d %q, which the head does not: %q", script, i+1, name, args[i])
			}
			if i > 0 && strings.Contains(args[i-1], name) && strings.Contains(args[i], fixed[i-1]) {
				t.Errorf("%s: if the arguments %q and %q changed places, nobody would notice: give them other names", script, fixed[i-1], name)
			}
			if !strings.Contains(source, fmt.Sprintf("ARGV[%d]", i+1)) && !strings.Contains(source, fmt.Sprintf("unpack(ARGV, %d)", i+1)) {
				t.Errorf("%s does not use argument %d, %q", script, i+1, name)
			}
		}
		if more {
			for _, name := range row.args[len(fixed):] {
				for _, part := range group(name) {
					if !strings.Contains(args[len(fixed)], part) {
						t.Errorf("%s: docs/protocol.md ends with %q, and the head with %q", script, name, args[len(fixed)])
					}
				}
			}
		} else if strings.Contains(source, fmt.Sprintf("ARGV[%d]", len(fixed)+1)) {
			t.Errorf("%s uses argument %d, of which its head does not tell", script, len(fixed)+1)
		}
	}
}

// keysSection is the section of docs/protocol.md on keys and their fields.
func keysSection(t *testing.T) string {
	t.Helper()
	_, section, _ := strings.Cut(read(t, "docs/protocol.md"), "\n## Keys\n")
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// fixedArgs are the arguments that come once.
func fixedArgs(args []string) []string {
	if i := slices.IndexFunc(args, func(name string) bool { return strings.HasSuffix(name, "…") }); i >= 0 {
		return args[:i]
	}
	return args
}

// group gives the names in an argument that may come any number of times.
func group(name string) []string {
	return strings.Split(strings.Trim(name, "(…)"), ", ")
}

// recorded hears which scripts are called, with how many keys, and with which arguments.
type recorded struct {
	names map[string]string // of the scripts, by their SHA-1
	calls map[string][]scriptCall
}

type scriptCall struct {
	keys int
	args []string
}

func (h *recorded) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *recorded) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *recorded) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			words := make([]string, len(cmd.Args()))
			for i, arg := range cmd.Args() {
				if text, ok := arg.(*string); ok {
					arg = *text
				}
				words[i] = fmt.Sprint(arg)
			}
			if words[0] == "evalsha" {
				n, _ := strconv.Atoi(words[2])
				name := h.names[words[1]]
				h.calls[name] = append(h.calls[name], scriptCall{n, words[3+n:]})
			}
		}
		return next(ctx, cmds)
	}
}

// given are the values of a call's arguments, by the names that docs/protocol.md
// gives to them.
type given map[string][]string

func TestProtocol_CallsPassTheArgumentsOfTheTableAndStoreItsFields(t *testing.T) {
	table := scriptTable(t)
	server := redistest.Start(t)
	admin, client := server.Client(t), server.Client(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	hook := &recorded{names: map[string]string{}, calls: map[string][]scriptCall{}}
	for name, source := range scripts(t) {
		sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
		hook.names[hex.EncodeToString(sum[:])] = name
	}
	client.AddHook(hook)
	store := wire.NewRedis(client, "shop")

	// Families for housekeeping: one is listed without keys, one was written long ago.
	for _, err := range []error{
		admin.ZAdd(ctx, "shoal:1:{shop}:families", redis.Z{Score: 1, Member: "gone"}, redis.Z{Score: 2, Member: "old"}).Err(),
		admin.HSet(ctx, "shoal:1:{shop/old}:ctl", "touched", "1").Err(),
		store.Housekeep(ctx, 48*time.Hour, 10*time.Minute),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	store.Register(ctx, []wire.Registration{{
		Family: "took", Writer: "w", Nonce: "n", Born: 7,
		Definition: wire.Definition{Type: "histogram", Help: "h", Mode: "m", Bounds: []string{"1", "2"}},
	}})
	store.Commit(ctx, []wire.Commit{{
		Family: "took", Generation: "g", Writer: "w", Prev: 3, Seq: 4, Limit: 5, Overflow: "o", Totals: true,
		Ops: []wire.Op{{Kind: wire.OpAdd, Field: "f1", Value: "v1"}, {Kind: wire.OpDelete, Field: "f2"}},
	}})
	_, _ = store.Hold(ctx, wire.HoldRequest{
		Writer: "w", Index: 3, Wanted: 4, TTL: 5 * time.Second, Lineage: "l1", Current: "l2", Changed: true,
		Info: wire.Info{Host: "h", Version: "v", Started: 6},
	})
	_, _ = store.WriteGauges(ctx, wire.GaugeWrite{
		Writer: "w", Index: 3, Version: 4, Full: true, Own: 5,
		Ops: []wire.GaugeOp{{Field: "f1", Value: "v1", Expire: time.Second}, {Field: "f2", Delete: true}},
	})
	_, _ = store.ReadApp(ctx)
	_, _ = store.ReadFamilies(ctx, []string{"took"})
	_, _ = store.ReadGauges(ctx, []string{"w"})
	_ = store.Release(ctx, "w", 3)

	for key, fields := range map[string]string{
		"shoal:1:{shop/took}:ctl": "gen type help mode bounds born created shape touched", "shoal:1:{shop}:leases": "lineage housekept",
	} {
		stored, err := admin.HKeys(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(stored)
		if wanted := strings.Fields(fields); !slices.Equal(stored, slices.Sorted(slices.Values(wanted))) {
			t.Errorf("%s has the fields %q, and docs/protocol.md should tell of %q", key, stored, wanted)
		}
		for _, field := range strings.Fields(fields) {
			if !strings.Contains(keysSection(t), "`"+field+"`") {
				t.Errorf("docs/protocol.md does not tell of the field %s of %s", field, key)
			}
		}
	}

	number := func(n int) []string { return []string{strconv.Itoa(n)} }
	yes, no := number(1), number(0)
	for script, want := range map[string]given{
		"commit-2": {
			"generation": {"g"}, "writer": {"w"}, "prev": {"3"}, "seq": {"4"}, "cap": {"5"}, "overflow": {"o"}, "totals": yes,
			"kinds": {"+-"}, "fields…": {"f1", "f2"}, "values…": {"v1", ""},
		},
		"forget-2": {"retention": {"172800000"}},
		"gauges-2": {
			"writer": {"w"}, "index": {"3"}, "version": {"4"}, "replaces": yes, "gauges": {"5"},
			"(kind, field, value, time to live)…": {"+", "f1", "v1", "1000", "-", "f2", "", "0"},
		},
		"head-2": {
			"families": number(wire.MaxFamilies), "name": number(wire.MaxName), "leases": number(wire.MaxLeases),
			"entry": number(wire.MaxLease), "lengths": no,
		},
		"hold-1": {
			"writer": {"w"}, "held": {"3"}, "wanted": {"4"}, "time to live": {"5000"}, "entry": {"l1 h v 6 5000"},
			"lineage": {"l2"}, "knew another": yes,
		},
		"lapse-1":  {"cursor": no, "fields": {"1000"}},
		"listed-1": {"rank": no, "how many": {"1000"}, "longest name": number(wire.MaxName)},
		"living-1": {"gauges": {"64000"}, "bytes": {"1048576"}, "longest text": number(wire.MaxText), "lengths": no},
		"prune-1":  {"cursor": no, "fields": {"100"}, "age": number(int(wire.SequenceAge / time.Second))},
		"read-1": {
			"hget, hmget or hscan": {"hmget"}, "longest text": number(wire.MaxText), "bytes": number(wire.MaxRegistration), "lengths": no,
			"arguments…": {"gen", "type", "help", "mode", "bounds", "created", "shape"},
		},
		"register-2": {
			"nonce": {"n"}, "writer": {"w"}, "born": {"7"}, "type": {"histogram"}, "help": {"h"}, "mode": {"m"}, "bounds": {"1 2"},
		},
		"release-2": {"writer": {"w"}, "index": {"3"}},
		"stale-1":   {"retention": {"172800000"}, "how many": {"100"}},
		"touch-1":   {"names…": {"took"}},
		"turn-1":    {"how long": {"600000"}},
		"unlist-1":  {"name": {"old"}, "score": {"2"}},
	} {
		row, found := table[script]
		if !found {
			t.Errorf("docs/protocol.md has no script %s", script)
			continue
		}
		var args []string
		for _, name := range row.args {
			values, known := want[name]
			if !known {
				t.Errorf("%s: this test gives no argument %q, of which docs/protocol.md tells", script, name)
			}
			args = append(args, values...)
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%s: docs/protocol.md does not tell of the argument %q", script, name)
		}
		if calls := hook.calls[script]; !slices.ContainsFunc(calls, func(c scriptCall) bool {
			return c.keys == len(row.keys) && slices.Equal(c.args, args)
		}) {
			t.Errorf("%s: by docs/protocol.md a call has %d keys and the arguments %q; there were %v", script, len(row.keys), args, calls)
		}
		delete(table, script)
	}
	for script := range table {
		t.Errorf("this test does not call %s", script)
	}
}
