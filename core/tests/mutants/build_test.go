// SPDX-License-Identifier: Apache-2.0

package mutants

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// chosen is the environment variable that names the mutant to run.
const chosen = "SHOAL_MUTANT"

// body is a function of the core that some mutants change, and where its body is in the file.
type body struct {
	from, to int  // between its braces
	results  bool // whether it returns values; if not, the inserted copy needs a return
	changed  []changed
}

type changed struct {
	mutant string
	text   string // the body as the mutant has it
}

// source is a file of the core that some mutants change.
type source struct {
	text   string
	syntax *ast.File
	files  *token.FileSet
	bodies []*body
}

// mutate returns the files that mutants change, by their paths below root. Each can run as the
// original and as any mutant of the table. It is an error if a text is not in its file exactly
// once; the error says where else it is.
func mutate(root string, table []mutant) (map[string]string, error) {
	sources := map[string]*source{}
	for _, m := range table {
		for _, e := range m.edits {
			s := sources[e.file]
			if s == nil {
				var err error
				if s, err = readSource(filepath.Join(root, e.file)); err != nil {
					return nil, fmt.Errorf("mutant %s: %w", m.name, err)
				}
				sources[e.file] = s
			}
			if err := s.change(m.name, e); err != nil {
				return nil, fmt.Errorf("mutant %s: core/%s: %w%s", m.name, e.file, err, elsewhere(root, e))
			}
		}
	}
	files := map[string]string{}
	for file, s := range sources {
		files[file] = s.withMutants()
		files[path.Join(path.Dir(file), "mutant_chosen.go")] = "package " + s.syntax.Name.Name +
			"\n\nimport \"os\"\n\nvar chosenMutant = os.Getenv(\"" + chosen + "\")\n"
	}
	return files, nil
}

func readSource(file string) (*source, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &source{text: string(text), files: token.NewFileSet()}
	s.syntax, err = parser.ParseFile(s.files, file, text, parser.SkipObjectResolution)
	return s, err
}

// change records how a mutant changes the function around its text.
func (s *source) change(mutant string, e edit) error {
	if n := strings.Count(s.text, e.old); n != 1 {
		return fmt.Errorf("this text is there %d times instead of once:\n%s", n, e.old)
	}
	at := strings.Index(s.text, e.old)
	b := s.around(at, at+len(e.old))
	if b == nil {
		return fmt.Errorf("this text is in the body of no function:\n%s", e.old)
	}
	for i := range b.changed {
		if c := &b.changed[i]; c.mutant == mutant {
			c.text = strings.Replace(c.text, e.old, e.new, 1)
			return nil
		}
	}
	text := strings.Replace(s.text[b.from:b.to], e.old, e.new, 1)
	b.changed = append(b.changed, changed{mutant, text})
	return nil
}

// around finds the function whose body includes these offsets.
func (s *source) around(from, to int) *body {
	for _, declared := range s.syntax.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		b := body{from: s.offset(f.Body.Lbrace) + 1, to: s.offset(f.Body.Rbrace), results: f.Type.Results != nil}
		if from < b.from || to > b.to {
			continue
		}
		if i := slices.IndexFunc(s.bodies, func(known *body) bool { return known.from == b.from }); i >= 0 {
			return s.bodies[i]
		}
		s.bodies = append(s.bodies, &b)
		return &b
	}
	return nil
}

func (s *source) offset(p token.Pos) int { return s.files.Position(p).Offset }

// withMutants returns the file with the changed bodies before the original ones.
func (s *source) withMutants() string {
	slices.SortFunc(s.bodies, func(a, b *body) int { return cmp.Compare(a.from, b.from) })
	var text strings.Builder
	done := 0
	for _, b := range s.bodies {
		text.WriteString(s.text[done:b.from])
		text.WriteString("\n	switch chosenMutant {")
		for _, c := range b.changed {
			fmt.Fprintf(&text, "\n	case %q:\n		{%s}", c.mutant, c.text)
			if !b.results {
				text.WriteString("\n		return")
			}
		}
		text.WriteString("\n	}\n")
		done = b.from
	}
	return text.String() + s.text[done:]
}

// elsewhere says which other files have the text of an edit.
func elsewhere(root string, e edit) (hint string) {
	_ = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		name, _ := filepath.Rel(root, file)
		if text, err := os.ReadFile(file); err == nil && filepath.ToSlash(name) != e.file && strings.Contains(string(text), e.old) {
			hint += "\nit is in core/" + filepath.ToSlash(name)
		}
		return nil
	})
	return hint
}

// build builds the core's simulation, without its other tests, with all mutants in it.
func build(t *testing.T, table []mutant) (binary string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	files, err := mutate(root, table)
	if err != nil {
		t.Fatal(err)
	}
	dir, overlay := t.TempDir(), map[string]string{}
	for file, text := range files {
		replacing := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replacing, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, filepath.FromSlash(file))] = replacing
	}
	tests, err := filepath.Glob(filepath.Join(root, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tests {
		if name := filepath.Base(file); !strings.HasPrefix(name, "simulation_") && !strings.HasPrefix(name, "race_") && name != "helpers_test.go" {
			overlay[file] = "" // leaves the file out
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "simulation.test")
	cmd := exec.Command("go", "test", "-c", "-overlay", list, "-o", binary, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the core with its mutants does not build: %v\n%s", err, out)
	}
	return binary
}
