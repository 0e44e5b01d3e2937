#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The test of everything: formatting, and that each module compiles and vets in
# the workspace; then, without it, that each module builds, vets, is tidy and passes
# its tests with the race detector by itself, as it will for those who depend on
# it. The core's simulation runs once more without, with all its seeds, and so does the
# fuzz test of hostile contents, with its limits of memory; the peers of the benchmarks
# run only without. At the end the tree must be as it was.
#
#	scripts/test.sh            all modules
#	scripts/test.sh core ...   only these
#
# It needs Go and, for redis-server and prometheus, Debian: see packages.sh.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1

if ! command -v go >/dev/null; then
	echo "go is missing: install Go 1.26 or later and put it on the PATH" >&2
	exit 1
fi
scripts/packages.sh || exit 1

modules=("$@")
if [ $# -eq 0 ]; then
	mapfile -t modules < <(scripts/modules.sh)
fi

results=()
failed=0

# step NAME DIRECTORY COMMAND...: runs the command there and notes the result.
step() {
	local name=$1 directory=$2 begin=$SECONDS word=ok
	shift 2
	printf -- '--- %s\n' "$name"
	if ! (cd "$directory" && "$@"); then
		word=FAILED
		failed=$((failed + 1))
		printf -- '--- %s: FAILED\n' "$name"
	fi
	results+=("$(printf '%-7s %4d s  %s' "$word" $((SECONDS - begin)) "$name")")
}

formatted() {
	local files
	files=$(find . -name '*.go' -not -path './.*' -exec gofmt -l {} +) || return 1
	if [ -n "$files" ]; then
		printf 'not formatted by gofmt:\n%s\n' "$files"
		return 1
	fi
}

in_workspace() {
	local module listed code=0
	listed=$(go list -m -f '{{.Dir}}') || return 1
	for module in $(scripts/modules.sh); do
		if ! grep -qxF "$root/$module" <<<"$listed"; then
			echo "go.work does not use ./$module"
			code=1
		fi
	done
	return $code
}

# tree tells what in the working tree differs from the last commit, names and
# contents; nothing outside of git.
tree() {
	git rev-parse --is-inside-work-tree >/dev/null 2>&1 || return 0
	git status --porcelain
	git diff HEAD | git hash-object --stdin
	git ls-files --others --exclude-standard -z | xargs -0 -r sha256sum -- 2>/dev/null
}

before=$(tree)
unchanged() {
	local after
	after=$(tree)
	if [ "$before" != "$after" ]; then
		echo "what the steps above did changed the tree; commit it, or see to it that they don't:"
		diff <(echo "$before") <(echo "$after")
		git diff --stat
		return 1
	fi
}

# go list asks for the sums of all modules, as go doc does.
sums() { go list -m all >/dev/null; }

step "go.work.sum" . sums
export GOFLAGS="${GOFLAGS:-} -mod=readonly"
step "format" . formatted
step "every module is in the workspace" . in_workspace
for module in "${modules[@]}"; do
	step "$module: vet" "$module" go vet ./... # compiles it; linking is left to the build below
done

export GOWORK=off
for module in "${modules[@]}"; do
	step "$module alone: build" "$module" go build ./...
	step "$module alone: vet" "$module" go vet ./...
	step "$module alone: tidy" "$module" go mod tidy -diff
	# What only benchmarks need is much to compile, once: their peers run without
	# the race detector, each benchmark for one turn.
	if [ "$module" = benchmarks/peers ]; then
		step "$module alone: test" "$module" go test -vet=off -timeout 5m -bench . -benchtime 1x ./...
		continue
	fi
	step "$module alone: test -race" "$module" go test -race -timeout 5m ./...
	# Without the race detector it is ten times as fast, and has ten times the seeds.
	if [ "$module" = core ]; then
		step "core alone: simulation" core go test -count=1 -timeout 5m -run '^TestSimulation' .
	fi
	if [ "$module" = core/tests ]; then
		step "core/tests alone: hostile contents" core/tests go test -count=1 -timeout 5m ./hostile
	fi
done

step "the tree is as before" . unchanged

printf '\n'
printf '%s\n' "${results[@]}"
printf '\n'
if [ "$failed" -ne 0 ]; then
	printf 'FAILED: %d of %d steps, after %d s\n' "$failed" "${#results[@]}" "$SECONDS"
	exit 1
fi
printf 'PASSED: %d steps over %d modules in %d s\n' "${#results[@]}" "${#modules[@]}" "$SECONDS"
