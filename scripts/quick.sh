#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A test for each small change, in less than a minute: the core with few seeds of its simulation,
# the middlewares and the bridges, without the race detector and without servers.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

. scripts/steps.sh

formatted() { ! gofmt -l core middleware bridge | grep .; }

packages=(./core/... ./middleware/{nethttp,chi,gin,echo,echov5,fasthttp,fiber,fiberv2}/... ./bridge/{prometheus,otel}/...)
step "format" . formatted
step "vet" . go vet "${packages[@]}"
step "test" . go test -vet=off -short -timeout 2m "${packages[@]}"

echo "Not run: the race detector, most seeds of the simulation, the tests on real servers, the other modules (the embedded Redis among them), lint. Run make test and make lint for them."
summary "of the quick test"
