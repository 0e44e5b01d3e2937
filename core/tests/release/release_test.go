// SPDX-License-Identifier: Apache-2.0

package release

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const version = "0.1.0"

// repository makes a git repository of the working tree, on main, whose CHANGELOG has the version.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := run(t, root(t), nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for file := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root(t), file))
		if err != nil {
			continue // deleted in the working tree, and not yet committed
		}
		write(t, filepath.Join(dir, file), read(t, filepath.Join(root(t), file)))
		if err := os.Chmod(filepath.Join(dir, file), info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	changelog := filepath.Join(dir, "CHANGELOG.md")
	write(t, changelog, strings.Replace(read(t, changelog),
		"## [Unreleased]\n", "## [Unreleased]\n\n## ["+version+"] - 2026-01-02\n\n- Everything.\n", 1))
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "config", "user.name", "a maintainer")
	git(t, dir, "config", "user.email", "maintainer@example.com")
	git(t, dir, "add", "--all")
	git(t, dir, "commit", "-q", "-m", "everything")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(run(t, dir, nil, "git", args...))
}

// published lists the modules that users may depend on: all except tests and programs.
func published(t *testing.T) []string {
	t.Helper()
	var modules []string
	for module := range strings.FieldsSeq(run(t, root(t), nil, "scripts/modules.sh")) {
		if !regexp.MustCompile(`^(benchmarks|examples|e2e)\b|/tests\b`).MatchString(module) {
			modules = append(modules, module)
		}
	}
	return modules
}

// own matches a requirement or a replacement of a module of ours in a go.mod.
var own = regexp.MustCompile(`(?m)` + shoalPath + `/(\S+) (\S+)`)

func TestRelease_GoGetFindsEveryModuleAndTheProgramServes(t *testing.T) {
	repo := repository(t)
	main := git(t, repo, "rev-parse", "main")
	run(t, repo, nil, "scripts/release.sh", version)
	if now := git(t, repo, "rev-parse", "HEAD", "main"); now != main+"\n"+main {
		t.Errorf("main was %s and is now %s", main, now)
	}
	if status := git(t, repo, "status", "--porcelain"); status != "" {
		t.Errorf("the tree is not clean:\n%s", status)
	}

	// There are tags for all modules, and no others.
	wanted := make(map[string]bool)
	modules := published(t)
	for _, module := range modules {
		wanted[module+"/v"+version] = true
	}
	tags := strings.Fields(git(t, repo, "tag"))
	if !slices.Equal(tags, slices.Sorted(maps.Keys(wanted))) {
		t.Fatalf("the tags are %q, the modules %q", tags, modules)
	}
	for i, module := range slices.Sorted(slices.Values(modules)) {
		mod := git(t, repo, "show", tags[i]+":"+module+"/go.mod")
		if strings.Contains(mod, "replace") {
			t.Errorf("%s replaces a module:\n%s", tags[i], mod)
		}
		for _, requirement := range own.FindAllStringSubmatch(mod, -1) {
			if requirement[2] != "v"+version {
				t.Errorf("%s requires %s", tags[i], requirement[0])
			}
		}
	}

	// Go itself packs the tags: its download cache has the layout of a module proxy.
	cache, versions := t.TempDir(), []string{}
	for _, module := range modules {
		versions = append(versions, shoalPath+"/"+module+"@v"+version)
	}
	private := []string{"GONOSUMDB=" + shoalPath + "/*", "GONOPROXY=none"}
	fromTags := outside("GOMODCACHE="+cache, "GOPROXY=direct", private[0],
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://"+repo+".insteadOf", "GIT_CONFIG_VALUE_0=https://"+shoalPath)
	run(t, t.TempDir(), fromTags, "go", append([]string{"mod", "download"}, versions...)...)

	// A user who has only that proxy.
	shop := t.TempDir()
	write(t, filepath.Join(shop, "main.go"), read(t, "testdata/shop.go"))
	env := outside("GOMODCACHE="+t.TempDir(), proxies(t, cache), private[0], private[1])
	run(t, shop, env, "go", "mod", "init", "example.com/shop")
	run(t, shop, env, "go", append([]string{"get"}, versions...)...)
	run(t, shop, env, "go", "build", shoalPath+"/...")
	page := run(t, shop, env, "go", "run", ".")
	if line := `http_requests_total{code="200",method="GET",route="/users/:id"} 1`; !strings.Contains(page, line) {
		t.Errorf("the page lacks %s:\n%s", line, page)
	}
	if mod := read(t, filepath.Join(shop, "go.mod")); strings.Contains(mod, "replace") {
		t.Errorf("go.mod replaces something:\n%s", mod)
	}
}

func TestRelease_ADryRunShowsTheTagsAndChangesNothing(t *testing.T) {
	repo := repository(t)
	script := filepath.Join(repo, "scripts/release.sh")
	list := regexp.MustCompile(`(?m)^modules=\(.*\)`)
	write(t, script, list.ReplaceAllString(read(t, script), "modules=(core middleware/nethttp)")) // the others take longer
	git(t, repo, "commit", "-q", "-a", "-m", "fewer modules")
	before := git(t, repo, "show-ref")
	out := run(t, repo, nil, "scripts/release.sh", "--dry-run", version)
	for _, text := range []string{"core/v" + version, "middleware/nethttp/v" + version, "-replace " + shoalPath + "/core"} {
		if !strings.Contains(out, text) {
			t.Errorf("the dry run does not tell of %s:\n%s", text, out)
		}
	}
	if after := git(t, repo, "show-ref"); after != before {
		t.Errorf("the dry run changed the repository from\n%s\nto\n%s", before, after)
	}
	if status := git(t, repo, "status", "--porcelain"); status != "" {
		t.Errorf("the tree is not clean:\n%s", status)
	}
}

func TestRelease_RefusesWhatMustNotBePublished(t *testing.T) {
	repo := repository(t)
	for _, test := range []struct {
		name, version, says string
		before, after       string // in a shell
	}{
		{"no version", "1.2", "not a version", "", ""},
		{"a version with v", "v0.1.0", "not a version", "", ""},
		{"a major version that the paths lack", "2.0.0", "/v2", "", ""},
		{"a tree that is not clean", version, "not clean", "touch new", "rm new"},
		{"another branch", version, "on main", "git checkout -q -b other", "git checkout -q main"},
		{"nothing in the changelog", "0.2.0", "CHANGELOG.md has nothing under ## [0.2.0]", "", ""},
		{"a version like one in the changelog", "0.1", "not a version", "", ""},
		{"a version that is taken", version, "gin/v0.1.0 exists", "git tag middleware/gin/v0.1.0", "git tag -d middleware/gin/v0.1.0"},
		{"a main that origin does not have", version, "not what origin has",
			"git clone -q --bare . ../origin.git && git remote add origin ../origin.git && git commit -q --allow-empty -m more",
			"git push -q origin main && git fetch -q"},
		{"a version that origin has", version, "origin has v0.1.0",
			"git tag core/v0.1.0 && git push -q origin core/v0.1.0 && git tag -d core/v0.1.0", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, repo, nil, "sh", "-c", test.before)
			out, err := attempt(t, repo, nil, "scripts/release.sh", test.version)
			if _, refused := err.(*exec.ExitError); !refused || !strings.Contains(out, test.says) {
				t.Errorf("%v\n%s", err, out)
			}
			run(t, repo, nil, "sh", "-c", test.after)
		})
	}
}
