# make help lists the targets; PKG=./policy/... limits test, bench, fuzz and soak.
# Needs Go and make; for the race detector also a C compiler.

GO       ?= go
BIN      := bin/ucwarden
ARGS     ?=
FUZZTIME ?= 1m
BENCH    ?= .
PKG      ?= ./...
N        ?=
SEEDS    ?=
ROUNDS   ?= $(if $(N),1,10)
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
CREATED  ?= $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || echo 0))

# Checkouts without version control history build as well.
export GOFLAGS ?= -buildvcs=false

# Everything builds with the oldest Go that go.mod allows. What is shipped, and what is checked for vulnerabilities, is
# built with the Go of its toolchain line, which the go command downloads, also where the environment pins its own.
PINNED := GOTOOLCHAIN=$(shell awk '$$1 == "toolchain" { print $$2 }' go.mod)

# Tools have requirements of their own, in their own go.mod, so that they do not raise the product's.
STATICCHECK := $(GO) tool -modfile=tools/go.mod staticcheck
GOLANGCI    := $(GO) tool -modfile=tools/golangci/go.mod golangci-lint

# Sets $race to -race, or to nothing where a program cannot be built that way.
SET_RACE = race=-race; if ! $(GO) build -race runtime/cgo runtime/race >/dev/null 2>&1; then race=; \
	echo 'No race detector: it needs a C compiler and cgo, and here is none. The tests run without it.'; fi

# Says whether Apache Ranger's own suites, which are no part of this repository, were there to be run.
SAY_SHARED = d=$$PWD; while [ ! -d "$$d/shared/ranger" ] && [ "$$d" != / ]; do d=$$(dirname "$$d"); done; if [ "$$d" = / ]; then \
	echo; echo "*** NOT RUN: Apache Ranger's own suites, since no folder shared/ranger lies beside this checkout."; \
	echo "*** The project's suites in the same format (policy/suite/testdata/suites) check the same rules."; fi

.DEFAULT_GOAL := help
.PHONY: help build demo test conformance lint lint-full vuln chart ship release image reproducible bench fuzz soak rangerdiff hubclients clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/ucwarden, one static program
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN) ./cmd/ucwarden

demo: build ## Show everything on an emulated workspace; ARGS=--exit ends when done
	$(BIN) demo $(ARGS)

test: ## Run all tests, with the race detector where there is a C compiler
	@$(SET_RACE); code=0; (set -x; $(GO) test $$race -timeout 9m $(PKG)) || code=$$?; $(SAY_SHARED); exit $$code

conformance: ## Hold the emulator to the API's specification, or the server URL= with TOKENS="role=token ..."; WORKSPACE= may lose its metastore
	CONFORMANCE_URL='$(URL)' CONFORMANCE_TOKENS='$(TOKENS)' CONFORMANCE_WORKSPACE='$(WORKSPACE)' \
		$(GO) test -count=1 $(if $(URL),-v) ./connector/emulator/conformance

.PHONY: pythonreach
pythonreach: ## Count the methods of the Python client library that reach the emulator; needs Python 3.9 and a package index
	GO='$(GO)' tools/pythonreach/run.sh

.PHONY: fuzzapi
fuzzapi: ## Run schemathesis against a daemon, by the document that it serves; ARGS="--max-examples 1000"; needs Python 3.10 and a package index
	GO='$(GO)' tools/schemathesis/run.sh $(ARGS)

.PHONY: clireach
clireach: ## Count the commands of the Databricks CLI that reach the emulator; needs the CLI, on the path or by CLI=, and Python
	GO='$(GO)' tools/databrickscli/run.sh

.PHONY: generate
generate: ## Make the generated files (*.gen.go) from apiserver/openapi.yaml
	GO='$(GO)' tools/openapi/generate.sh

lint: ## Check format, vet, staticcheck, go.mod and the generated files
	@files=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) || exit 1; if [ -n "$$files" ]; then echo "not formatted, run gofmt -w on:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff
	GO='$(GO)' tools/openapi/generate.sh --check

lint-full: ## Run the linters of .golangci.yaml, before a release; building them takes minutes
	$(GOLANGCI) run ./...

vuln: ## Look for known vulnerabilities that our code reaches; fails outside tools/vuln/accepted.json
	cd tools/vuln && $(PINNED) $(GO) test ./...
	cd tools/vuln && $(PINNED) $(GO) run . -root ../.. -cache ../../.cache/vuln

chart: ## Check the Helm chart: lint, render, validate, assert; offline once its modules are there
	cd tools/chart && $(GO) vet ./... && $(GO) test ./...

ship: ## Check what makes the image and the release; runs the image where runc is installed
	cd tools/ship && $(GO) vet ./... && $(GO) test ./...

release: ## Build bin/release: programs for Linux amd64 and arm64, image, bills of materials, checksums; the same bytes everywhere
	@rm -rf bin/release; set -e; for arch in amd64 arm64; do (set -x; \
		env GOFLAGS=-buildvcs=false GOEXPERIMENT= GOAMD64=v1 GOARM64=v8.0 GOFIPS140=off CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(PINNED) \
		$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/release/ucwarden-linux-$$arch ./cmd/ucwarden); done
	cd tools/ship && env $(PINNED) $(GO) run . -dir ../../bin/release -version '$(VERSION)' -created $(CREATED) \
		-zoneinfo "$$(env $(PINNED) $(GO) env GOROOT)/lib/time/zoneinfo.zip"

image: release ## Build bin/release/ucwarden-image.tar, an OCI image of both architectures, without a container engine
	@echo 'load it with: docker load -i bin/release/ucwarden-image.tar   (or podman load)'

reproducible: release ## Build the release once more from a copy elsewhere, without any cache, and compare
	@set -e; copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; mkdir "$$copy/src"; git ls-files -z | xargs -0 cp --parents -t "$$copy/src"; \
		GOCACHE=$$copy/cache $(MAKE) -C "$$copy/src" release VERSION='$(VERSION)' CREATED=$(CREATED) >/dev/null; \
		cmp bin/release/SHA256SUMS "$$copy/src/bin/release/SHA256SUMS" && echo 'the same bytes'

bench: ## Run the benchmarks; BENCH=regexp chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m $(PKG)

fuzz: ## Run every fuzz target for FUZZTIME
	@set -e; for package in $$($(GO) list $(PKG)); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

soak: ## Repeat all tests ROUNDS times in random order; N=100000 makes that many worlds for each property, once
	@$(SET_RACE); set -x; $(if $(N),RAPID_CHECKS=$(N)) $(GO) test $$race -count=$(ROUNDS) -shuffle=on -timeout 0 $(PKG)

rangerdiff: ## Compare decisions with Ranger's own engine, which needs Java 17 and Maven; SEEDS="1 2 3"
	tools/rangerdiff/run.sh $(SEEDS)

hubclients: ## Use the event hub emulator with clients that are not ours; needs Python, and installs two packages
	tools/eventhub/run.sh

clean: ## Remove what was built, cached and kept by a demo
	rm -rf bin data .cache
