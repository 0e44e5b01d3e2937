#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the tags of a release: core/vX.Y.Z, middleware/gin/vX.Y.Z and so on.
#
#	scripts/release.sh X.Y.Z              makes the tags in this repository
#	scripts/release.sh --dry-run X.Y.Z    only shows them
#
# On main every module finds its siblings by replace, which Go ignores in a dependency. So
# each module is tagged on a commit beside main, where it requires its siblings at the
# same version and replaces nothing; main itself does not change. Commits and tags are
# made in a temporary clone, and the tags are fetched from there once all modules build.
# Nothing is pushed. docs/releasing.md describes a release from start to end.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

path=github.com/shoal-metrics/shoal
modules=(core embedded middleware/nethttp middleware/chi middleware/gin middleware/echo middleware/echov5 middleware/fasthttp middleware/fiber middleware/fiberv2 bridge/prometheus bridge/otel) # a module after those that it requires

fail() {
	echo "release.sh: $*" >&2
	exit 1
}

dry=
if [ "${1-}" = --dry-run ]; then
	dry=yes
	shift
fi
[ $# -eq 1 ] || fail "usage: scripts/release.sh [--dry-run] X.Y.Z"
[[ $1 =~ ^[01]\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] ||
	fail "$1 is not a version X.Y.Z below 2 (from 2 on, Go wants /v2 in the modules' paths)"
version=v$1
tags=("${modules[@]/%//$version}")

[ -z "$(git status --porcelain)" ] || fail "the tree is not clean: commit first"
[ "$(git branch --show-current)" = main ] || fail "releases are made on main"
section=$(awk -v head="## [$1]" '/^## /{within = index($0, head) == 1; next} within && NF' CHANGELOG.md)
[ -n "$section" ] || fail "CHANGELOG.md has nothing under ## [$1]"
for tag in "${tags[@]}"; do
	! git rev-parse -q --verify "refs/tags/$tag" >/dev/null || fail "$tag exists: a version that was published never changes"
done
if git remote get-url origin >/dev/null 2>&1; then
	there=$(git ls-remote origin refs/heads/main "${tags[@]/#/refs/tags/}")
	! grep -q refs/tags/ <<<"$there" || fail "origin has $version: a version that was published never changes"
	[ "${there%%[[:space:]]*}" = "$(git rev-parse HEAD)" ] || fail "main is not what origin has: pull or push first"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q . "$work/repository"
git -C "$work/repository" config user.name "$(git config user.name)"
git -C "$work/repository" config user.email "$(git config user.email)"

# Go gets our modules from the clone's tags, as it will get them from the published ones, so
# that go.sum has the sums that users will see. It gets all others from the module cache or,
# if they are missing there, from its usual proxy. What it downloads goes into a temporary
# cache: the usual one would keep the modules of a release that failed.
export GIT_CONFIG_COUNT=1
export GIT_CONFIG_KEY_0="url.file://$work/repository.insteadOf" GIT_CONFIG_VALUE_0="https://$path"
GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
export GOPROXY GONOPROXY=$path/* GONOSUMDB=$path/* GOMODCACHE=$work/modcache
export GOWORK=off GOFLAGS="-modcacherw -trimpath"

release() { # MODULE
	local module=$1 sibling
	cd "$work/repository/$module"
	for sibling in "${modules[@]}"; do
		if grep -q "$path/$sibling v" go.mod; then
			go mod edit -require="$path/$sibling@$version" -dropreplace="$path/$sibling"
		fi
	done
	go mod tidy
	! grep '=>' go.mod || fail "$module replaces a module that is not released"
	go build ./...
	if [ -n "$(git status --porcelain)" ]; then
		git add --all .
		git commit -q -m "release: $module $version requires its siblings at $version"
	fi
	git tag -a -m "$module $version" "$module/$version"
	if [ -n "$dry" ]; then
		printf '\n%s: %s\n' "$module/$version" "$(git log -1 --format='%h %s')"
		git diff main -- go.mod
	fi
}

git -C "$work/repository" checkout -q --detach
for module in "${modules[@]}"; do
	release "$module"
done
cd "$root"
if [ -n "$dry" ]; then
	printf '\nThis was a dry run: nothing has changed here.\n'
	exit
fi
git fetch -q --no-tags "$work/repository" "refs/tags/*/$version:refs/tags/*/$version"
printf 'Made %d tags. Look at them, then publish them all at once:\n\n\tgit push --atomic origin %s\n' "${#tags[@]}" "${tags[*]}"
