# make help lists the targets; PKG=./policy limits test, bench, fuzz and soak. Needs Go and make, nothing else.

GO       ?= go
BIN      := bin/ucwarden
ARGS     ?=
FUZZTIME ?= 1m
BENCH    ?= .
PKG      ?= ./...
ROUNDS   ?= 10
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# Checkouts without version control history build as well.
export GOFLAGS ?= -buildvcs=false

STATICCHECK := $(GO) tool -modfile=tools/go.mod staticcheck

.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench fuzz soak clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/ucwarden
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN) ./cmd/ucwarden

demo: build ## Show everything on an emulated workspace; ARGS=--exit ends when done
	$(BIN) demo $(ARGS)

test: ## Run all tests with the race detector
	$(GO) test -race -timeout 9m $(PKG)

lint: ## Check format, vet, staticcheck and go.mod
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted, run gofmt -w on:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff

bench: ## Run the benchmarks; BENCH=regexp chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m $(PKG)

fuzz: ## Run every fuzz target for FUZZTIME
	@set -e; for package in $$($(GO) list $(PKG)); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

soak: ## Repeat all tests ROUNDS times in random order with the race detector
	$(GO) test -race -count=$(ROUNDS) -shuffle=on -timeout 0 $(PKG)

clean: ## Remove what was built
	rm -rf bin data
