#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Lists the directories of this repository's modules, the core first.
# With arguments, runs them as a command in each and fails if one failed.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1

mapfile -t modules < <(find . -name go.mod -not -path './.*' -not -path '*/testdata/*' \
	-printf '%h\n' | sed 's|^\./||' | LC_ALL=C sort | sed -n '/^core$/p;/^core$/!H;${x;s/^\n//;p}')
if [ $# -eq 0 ]; then
	printf '%s\n' "${modules[@]}"
	exit 0
fi
code=0
for module in "${modules[@]}"; do
	echo "== $module: $*"
	(cd "$module" && "$@") || { code=1; echo "FAILED in $module: $*"; }
done
exit $code
