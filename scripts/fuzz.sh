#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzz test of the module in the current directory for the given
# time, one after the other, since go test runs only one fuzz test at a time.
set -uo pipefail
time=${1:-10s}
code=0
for package in $(go list ./...); do
	for name in $(go test -list '^Fuzz' "$package" | grep '^Fuzz'); do
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package" || code=1
	done
done
exit $code
