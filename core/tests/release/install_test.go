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
	readmes := []string{filepath.Join(root(t), "README.md")}
	for _, kind := range []string{"middleware", "bridge"} {
		found, err := filepath.Glob(filepath.Join(root(t), kind, "*/README.md"))
		if err != nil || len(found) == 0 {
			t.Fatal("no READMEs of ", kind, ": ", err)
		}
		readmes = append(readmes, found...)
	}
	work := t.TempDir()
	if err := os.Symlink(root(t), filepath.Join(work, "shoal")); err != nil {
		t.Fatal(err)
	}
	env := outside(proxies(t))
	for _, readme := range readmes {
		name, _ := filepath.Rel(root(t), readme)
		t.Run(name, func(t *testing.T) {
			lines := replaceLine.FindAllStringSubmatch(read(t, readme), -1)
			// Core comes first, the README's own module last, and between them what that stands on.
			if len(lines) < 2 || lines[0][1] != "core" {
				t.Fatalf("the README's lines should replace core and a module: %q", lines)
			}
			own, replaces := lines[len(lines)-1][1], ""
			if dir := filepath.ToSlash(filepath.Dir(name)); dir == "." && !strings.HasPrefix(own, "middleware/") || dir != "." && own != dir {
				t.Errorf("the README replaces %s", own)
			}
			for _, line := range lines {
				replaces += line[0] + "\n"
			}
			shop := filepath.Join(work, strings.ReplaceAll(filepath.Dir(name), string(filepath.Separator), "-")+"-shop")
			write(t, filepath.Join(shop, "go.mod"), "module example.com/shop\n\ngo 1.26\n\n"+replaces)
			write(t, filepath.Join(shop, "shop.go"), fmt.Sprintf("package shop\n\nimport _ %q\n", shoalPath+"/"+own))
			run(t, shop, env, "go", "mod", "tidy")
			run(t, shop, env, "go", "build", "./...")
		})
	}
}
