// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// replaceLine is a line of a README for the user's go.mod.
var replaceLine = regexp.MustCompile(`(?m)^replace ` + shoalPath + `/(\S+) => \.\./shoal/(\S+)$`)

func TestInstall_TheLinesOfEachREADMEBuildInAnEmptyModule(t *testing.T) {
	readmes, err := filepath.Glob(filepath.Join(root(t), "middleware/*/README.md"))
	if err != nil || len(readmes) == 0 {
		t.Fatal("no READMEs of middleware: ", err)
	}
	work := t.TempDir()
	if err := os.Symlink(root(t), filepath.Join(work, "shoal")); err != nil {
		t.Fatal(err)
	}
	env := outside(proxies(t))
	for _, readme := range append(readmes, filepath.Join(root(t), "README.md")) {
		name, _ := filepath.Rel(root(t), readme)
		t.Run(name, func(t *testing.T) {
			lines := replaceLine.FindAllStringSubmatch(read(t, readme), -1)
			if len(lines) != 2 || lines[0][1] != "core" || !strings.HasPrefix(lines[1][1], "middleware/") {
				t.Fatalf("the README's lines should replace core and a middleware: %q", lines)
			}
			if dir := filepath.Dir(name); dir != "." && lines[1][1] != filepath.ToSlash(dir) {
				t.Errorf("the README replaces %s", lines[1][1])
			}
			shop := filepath.Join(work, strings.ReplaceAll(filepath.Dir(name), string(filepath.Separator), "-")+"-shop")
			write(t, filepath.Join(shop, "go.mod"), fmt.Sprintf("module example.com/shop\n\ngo 1.26\n\n%s\n%s\n", lines[0][0], lines[1][0]))
			write(t, filepath.Join(shop, "shop.go"), fmt.Sprintf("package shop\n\nimport _ %q\n", shoalPath+"/"+lines[1][1]))
			run(t, shop, env, "go", "mod", "tidy")
			run(t, shop, env, "go", "build", "./...")
		})
	}
}
