#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests with the oldest versions that README.md says are supported; make test has the newest. Our
# go.mod files require the newest, so a copy of go.mod replaces it by the oldest.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

. scripts/steps.sh
export GOWORK=off GOFLAGS=-mod=mod

# old MODULE DEPENDENCY VERSION PACKAGE...
old() {
	local module=$1 dependency=$2 version=$3 copy
	shift 3
	copy=$(mktemp -d "$notes/XXXXXX")
	cp "$module/go.mod" "$module/go.sum" "$copy"
	go mod edit -replace="$dependency=$dependency@$version" "$copy/go.mod"
	step "$module with $dependency $version" "$module" \
		go test -vet=off -short -timeout 5m -modfile="$copy/go.mod" "$@"
}

old middleware/chi github.com/go-chi/chi/v5 v5.2.0 ./...
old middleware/gin github.com/gin-gonic/gin v1.8.2 ./...
old middleware/echo github.com/labstack/echo/v4 v4.10.2 ./...
old middleware/echov5 github.com/labstack/echo/v5 v5.0.4 ./...
old middleware/fasthttp github.com/valyala/fasthttp v1.77.0 ./...
old middleware/fiber github.com/gofiber/fiber/v3 v3.0.0 ./...
old middleware/fiberv2 github.com/gofiber/fiber/v2 v2.45.0 ./...
old bridge/prometheus github.com/prometheus/client_golang v1.17.0 ./...
summary "with the oldest versions"
