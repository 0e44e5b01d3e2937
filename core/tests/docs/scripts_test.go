// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const scriptsDir = "core/internal/wire/"

// scriptRow is what docs/protocol.md says of a script: the names of its keys and
// arguments, in order. An argument that may be repeated ends in an ellipsis; only such
// arguments follow it. One in parentheses is a group that is repeated as a whole.
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

// scripts lists the scripts and their sources, without what stands before several of them.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, scriptsDir, "*-?.lua"))
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

// sent is the source of a script as it is sent to Redis.
func sent(t *testing.T, source string) string {
	parts := ""
	for _, part := range []struct{ file, use string }{{"marks.lua", " marks(KEYS[3]"}, {"values.lua", " adders()"}, {"changes.lua", "change(state["}, {"seniority.lua", "stamp_of("}} {
		if strings.Contains(source, part.use) {
			parts += read(t, scriptsDir+part.file)
		}
	}
	return parts + source
}

// entry matches the beginning of an entry in the head of a script: its number and two spaces, or
// an ellipsis in their place if it is for all further arguments. A line may have several entries.
var entry = regexp.MustCompile(`(?:^|\s{2,})(\d+)(?:(…)\s+|\s{2,})`)

// headList reads the list KEYS or ARGV in the head of a script. It returns a description of each
// entry, and whether the last is for all further arguments. Lines without a number continue the
// description above.
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

// Each entry in a script's head has the name of this argument in docs/protocol.md, so that a
// change of one alone fails.
func TestProtocol_ScriptsAndTheirHeadsTakeTheArgumentsOfTheTable(t *testing.T) {
	table, sources := scriptTable(t), scripts(t)
	if documented, there := slices.Sorted(maps.Keys(table)), slices.Sorted(maps.Keys(sources)); !slices.Equal(documented, there) {
		t.Fatalf("docs/protocol.md has the scripts %q, and there are %q", documented, there)
	}
	for script, source := range sources {
		row := table[script]
		keys, _ := headList(source, "KEYS")
		if want := script[strings.LastIndex(script, "-")+1:]; want != "n" && (strconv.Itoa(len(keys)) != want || len(row.keys) != len(keys)) {
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

// fixedArgs are the arguments that are not repeated.
func fixedArgs(args []string) []string {
	if i := slices.IndexFunc(args, func(name string) bool { return strings.HasSuffix(name, "…") }); i >= 0 {
		return args[:i]
	}
	return args
}

// group returns the names in an argument that may be repeated.
func group(name string) []string {
	return strings.Split(strings.Trim(name, "(…)"), ", ")
}
