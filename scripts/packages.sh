#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Says which Debian packages the tests lack, or installs them:
#
#	scripts/packages.sh [--install]
#
# They are redis-server and prometheus, which the tests start themselves on free ports of the
# loopback interface, and a C compiler, which Go's race detector needs.
set -euo pipefail

packages=()
command -v redis-server >/dev/null || packages+=(redis-server)
command -v prometheus >/dev/null || packages+=(prometheus)
command -v gcc >/dev/null || packages+=(gcc libc6-dev)
if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi
if [ "${1-}" != --install ]; then
	echo "missing for the tests: ${packages[*]}; on Debian, \"make deps\" installs them, or as root: apt-get install ${packages[*]}" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	exec sudo "$0" --install
fi

# Debian starts the services that it installs, unless this policy forbids it.
# The tests never use them.
policy=/usr/sbin/policy-rc.d
kept=
restore() {
	rm -f "$policy"
	if [ -n "$kept" ]; then
		mv "$kept" "$policy"
	fi
}
if [ -e "$policy" ]; then
	kept=$(mktemp "$policy.XXXXXX")
	mv "$policy" "$kept"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${packages[@]}"
