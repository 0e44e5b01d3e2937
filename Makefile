# SPDX-License-Identifier: Apache-2.0

LINT_VERSION := v2.15.0
VULN_VERSION := v1.9.0
LINT := $(CURDIR)/.tools/golangci-lint-$(LINT_VERSION)
EACH := $(CURDIR)/scripts/modules.sh
FUZZTIME ?= 10s
BENCH ?= .
BENCHTIME ?= 1s

.PHONY: help deps quick test versions race lint vulnerabilities bench report fuzz fmt tidy examples cross

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

deps: $(LINT) ## install what the tests need (Debian packages) and the linter
	scripts/packages.sh --install

quick: ## for each small change: format, vet, and the unit tests without the race detector
	scripts/quick.sh

test: ## all that a change must pass, except lint
	scripts/test.sh

versions: ## test with the oldest supported chi, gin, echo, fasthttp, fiber and client_golang
	scripts/versions.sh

race: ## only the tests, with the race detector
	$(EACH) go test -race ./...

lint: $(LINT) ## run golangci-lint
	$(EACH) $(LINT) run --config $(CURDIR)/.golangci.yml ./...

$(LINT):
	rm -rf .tools/install && mkdir -p .tools/install
	GOWORK=off GOFLAGS= GOBIN=$(CURDIR)/.tools/install go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv .tools/install/golangci-lint $@

vulnerabilities: ## look up the dependencies in Go's vulnerability database, over the network
	$(EACH) go run golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION) ./...

bench: ## run the benchmarks (BENCH=pattern, BENCHTIME=1s)
	$(EACH) go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...

report: ## run the benchmarks and write the tables of the documents (BENCH=pattern: only these)
	cd benchmarks && go run ./report -bench '$(BENCH)'

fuzz: ## run each fuzz test for a while (FUZZTIME=10s)
	$(EACH) $(CURDIR)/scripts/fuzz.sh $(FUZZTIME)

fmt: ## format
	$(EACH) gofmt -w .

tidy: ## tidy each module and the workspace
	GOWORK=off $(EACH) go mod tidy
	go work sync

examples: ## build the examples and run their tests
	cd examples && go build ./... && go test ./...
	cd core/tests && go test ./e2e

cross: ## build for other systems, 32 bit among them
	GOOS=linux GOARCH=386 CGO_ENABLED=0 $(EACH) go build ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(EACH) go build ./...
	# The tests' servers are stopped by signals that Windows does not have.
	for module in core embedded examples middleware/*/ bridge/*/; do \
		(cd $$module && GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go build ./...) || exit 1; done
