# SPDX-License-Identifier: Apache-2.0
#
# Functions for the steps of a test, to be sourced (". scripts/steps.sh"). Each step is recorded
# with its time, and a step that fails does not stop the others.

notes=$(mktemp -d)
trap 'rm -rf "$notes"' EXIT

# step NAME DIRECTORY COMMAND...: runs the command there. Its output is shown in one piece when it
# ends, since steps of other lanes write at the same time.
step() {
	local name=$1 directory=$2 begin=$SECONDS word=ok out
	shift 2
	out=$({ cd "$directory" && "$@"; } 2>&1) || word=FAILED
	{
		flock 9
		printf -- '--- %s: %s\n' "$name" "$word"
		[ -z "$out" ] || printf '%s\n' "$out"
		printf '%-7s %4d s  %s\n' "$word" $((SECONDS - begin)) "$name" >>"$notes/steps"
	} 9>"$notes/lock"
}

# lanes FUNCTION...: runs functions that run steps, all at the same time. An interrupt ends them all.
lanes() {
	local lane
	local -A pids
	set -m # a process group for each
	trap 'kill -TERM $(jobs -p | sed "s/^/-/"); exit 130' INT TERM
	for lane in "$@"; do
		"$lane" &
		pids[$lane]=$!
	done
	for lane in "$@"; do
		wait "${pids[$lane]}" || echo "FAILED          $lane did not reach its end" >>"$notes/steps"
	done
	trap - INT TERM
	set +m
}

# summary TEXT: lists the steps and exits, with 1 if one failed.
summary() {
	local all failed
	all=$(wc -l <"$notes/steps")
	failed=$(grep -c ^FAILED "$notes/steps")
	printf '\n'
	cat "$notes/steps"
	printf '\n'
	if [ "$failed" -ne 0 ]; then
		printf 'FAILED: %d of %d steps %s, after %d s\n' "$failed" "$all" "$1" "$SECONDS"
		exit 1
	fi
	printf 'PASSED: %d steps %s in %d s\n' "$all" "$1" "$SECONDS"
}
