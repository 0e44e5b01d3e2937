#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All tests: the format, and that the workspace builds; then, for each module without the
# workspace as for its users: vet, tidy, and its tests with the race detector. At the end the
# tree must be as it was.
#
#	scripts/test.sh [--install] [MODULE...]
#
# Without MODULE it tests all. It needs Go, redis-server, prometheus and gcc; with --install it
# installs those that are missing, except Go, on Debian (see packages.sh).
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1

if ! command -v go >/dev/null; then
	echo "go is missing: install Go 1.26 or later and put it on the PATH" >&2
	exit 1
fi
if [ "${1-}" = --install ]; then
	shift
	scripts/packages.sh --install || exit 1
else
	scripts/packages.sh || exit 1
fi
modules=("$@")
if [ $# -eq 0 ]; then
	mapfile -t modules < <(scripts/modules.sh)
fi

# The packages whose tests mostly wait for servers, outages and deadlines. They run in a lane of
# their own, at the same time as those that compute.
waits='^(core/tests/(behaviour|e2e|faults|interplay|prometheus)|deploy/tests|e2e|embedded|examples|bridge/tests|middleware/tests)(/|$)'

. scripts/steps.sh

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

# go list needs the sums of all modules, as go doc does.
sums() { go list -m all >/dev/null; }

# tree prints what differs from the last commit in the working tree: names and contents. It
# prints nothing where there is no git repository.
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
		echo "the steps above changed the tree; commit these changes, or prevent them:"
		diff <(echo "$before") <(echo "$after")
		git diff --stat
		return 1
	fi
}

# race MODULE FILTER...: tests the packages of the module whose paths the command FILTER prints.
race() {
	local module=$1 packages
	shift
	packages=$(cd "$module" && go list ./...) || packages=./... # go test says what is wrong
	packages=$(sed 's|^github.com/shoal-metrics/shoal/||' <<<"$packages" | "$@" | sed 's|^[^.]|github.com/shoal-metrics/shoal/&|')
	if [ -n "$packages" ]; then
		# shellcheck disable=SC2086 # one argument for each package
		step "$module: test -race" "$module" go test -race -vet=off -timeout 10m $packages
	fi
}

waiting() {
	local module
	for module in "${modules[@]}"; do
		case $module in
		core/tests/prometheus | deploy/tests) # much to compile, so only once: without the race detector
			step "$module: test" "$module" go test -vet=off -timeout 10m ./...
			;;
		*) race "$module" grep -E "$waits" ;;
		esac
	done
}

computing() {
	local module
	for module in "${modules[@]}"; do
		step "$module: vet" "$module" go vet ./...
		step "$module: tidy" "$module" go mod tidy -diff
	done
	for module in "${modules[@]}"; do
		case $module in
		benchmarks/peers) # much to compile, so only once: without the race detector, each benchmark for one iteration
			step "$module: test" "$module" go test -vet=off -timeout 10m -bench . -benchtime 1x ./...
			continue
			;;
		core) # without the race detector the simulation and the months are ten times as fast, and ten times as long
			step "core: simulation" core go test -count=1 -vet=off -timeout 10m -run '^Test(Simulation|Month)' .
			;;
		core/tests) # with the race detector, which takes memory of its own, the test sets no limits of memory
			step "core/tests: hostile contents" core/tests go test -count=1 -vet=off -timeout 10m ./hostile
			;;
		esac
		race "$module" grep -vE "$waits"
	done
}

step "go.work.sum" . sums
export GOFLAGS="${GOFLAGS:-} -mod=readonly"
step "format" . formatted
step "every module is in the workspace" . in_workspace
mapfile -t patterns < <(printf './%s/...\n' "${modules[@]}")
step "the workspace builds" . go build "${patterns[@]}"
export GOWORK=off
lanes waiting computing
step "the tree is as before" . unchanged
summary "over ${#modules[@]} modules"
