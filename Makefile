# How Belpoort is built, checked and tested. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

GOLANGCI_VERSION := v2.15.0
BUF_VERSION := v1.75.0
HELM_VERSION := v3.22.0
CYCLONEDX_VERSION := v1.10.0
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
TOOLS ?= $(CURDIR)/.tools
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint
BUF := $(TOOLS)/buf-$(BUF_VERSION)/buf
HELM := $(TOOLS)/helm-$(HELM_VERSION)/helm
CYCLONEDX := $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION)/cyclonedx-gomod
BENCHSTAT := $(TOOLS)/benchstat-$(BENCHSTAT_VERSION)/benchstat

# The product is built without cgo; only the race detector of `make test` needs it.
export CGO_ENABLED := 0
# The version comes from scripts/version.sh, and git refuses a clone that somebody else owns. With -trimpath, as the
# product is built, one compilation of the dependencies serves checks, tests, tools and image.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false -trimpath)
export BUF BENCHSTAT

MAX_FILE_LINES := 600
FUZZTIME ?= 60s
SOAK ?= 10m

FIND := find . \( -path ./.git -o -path ./.tools -o -path ./bin \) -prune -o -type f

##@ Everyday
.PHONY: help build run cluster check test clean
help: ## list the targets
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/belpoort, static and stamped with its version
	@scripts/build.sh bin/belpoort

run: build ## serve sample data from a fresh folder, and show one ALLOW and one DENY
	@scripts/run.sh

cluster: build ## three nodes on one PostgreSQL and Redis: an objection at one is refused at all (KEEP=1 goes on serving)
	@scripts/test-setup.sh
	@scripts/cluster.sh

check: check-format check-length check-scripts check-modules check-mutants check-proto check-generated check-build check-vet check-walls check-lint check-helm ## everything that needs no running: formats, lints, walls, generated code
	@echo "check: all passed"

test: ## install what the tests need, then run them all under the race detector
	@scripts/test.sh

clean: ## remove what was built, the tools included
	rm -rf bin .tools

##@ Proto
.PHONY: proto proto-baseline
proto: $(BUF) ## format the .proto files and regenerate their Go
	$(BUF) format --write
	$(BUF) generate

proto-baseline: $(BUF) ## accept today's API as the one that `make check` compares with (at a release)
	$(BUF) build --exclude-source-info --output proto/baseline.binpb

##@ Release
.PHONY: sbom
sbom: build $(CYCLONEDX) ## write bin/belpoort.cdx.json, what the binary is made of, with licences (CycloneDX), and compare it with the binary
	@CYCLONEDX=$(CYCLONEDX) scripts/sbom.sh bin/belpoort bin/belpoort.cdx.json

##@ Longer runs
.PHONY: mutants bench bench-baseline fuzz soak
mutants: ## every mutant must be caught by its test (MUTANT=tag for one)
	@scripts/mutants.sh $(MUTANT)

bench: $(BENCHSTAT) ## benchmarks of the hot functions, beside the committed figures (BENCH=regexp for others, . for all)
	@BENCH='$(BENCH)' scripts/bench.sh

bench-baseline: ## make today's figures the committed ones, on a machine that does nothing else
	@scripts/bench.sh --keep

fuzz: ## every fuzz target for FUZZTIME (60s)
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

soak: ## the long tests for SOAK (10m) each
	@SOAK=$(SOAK) scripts/soak.sh

##@ Parts of check
.PHONY: check-format check-length check-scripts check-modules check-mutants check-proto check-generated check-build check-vet check-walls check-lint check-helm
check-format: ## gofmt changes nothing
	@unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l $$($(FIND) -name '*.go' -print)); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi

check-length: ## no file of code is longer than 600 lines
	@$(FIND) \( -name '*.go' -o -name '*.proto' -o -name '*.sh' \) ! -name '*.pb.go' ! -name '*.pb.gw.go' -print0 \
	| xargs -0 awk 'FNR == $(MAX_FILE_LINES) + 1 { print FILENAME " is longer than $(MAX_FILE_LINES) lines"; long = 1 } END { exit long }'

check-scripts: ## every shell script parses
	@for script in .ci/run $$($(FIND) -name '*.sh' -print); do bash -n "$$script"; done

check-modules: ## go.mod and go.sum are tidy, and the modules are what go.sum says
	@go mod tidy -diff
	@go mod verify

check-mutants: ## mutants.txt and the mutants in the tree are the same
	@scripts/mutants.sh --table

check-proto: $(BUF) ## buf lint, format and breaking
	$(BUF) lint
	$(BUF) format --diff --exit-code
	@scripts/check-breaking.sh

check-generated: $(BUF) ## regenerating the Go of the .proto files changes nothing
	@scripts/check-generated.sh

check-build: ## everything compiles without cgo
	go build ./...

check-vet: ## go vet, also with every mutant switched on
	go vet ./...
	@go vet -tags "$$(scripts/mutants.sh --tags)" ./...

check-walls: ## rooms import only what the table in architecture_test.go permits
	go test -count=1 .

check-helm: $(HELM) ## the Helm chart: lint, what it renders, what it refuses (UPDATE=1 writes what it renders anew)
	@HELM=$(HELM) UPDATE=$(UPDATE) scripts/check-helm.sh

check-lint: $(GOLANGCI) ## golangci-lint
	$(GOLANGCI) run

# Each tool lives in a folder with its version in the name, so a new version is a new target.
$(GOLANGCI):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

$(HELM):
	GOBIN=$(@D) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

$(CYCLONEDX):
	GOBIN=$(@D) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

$(BENCHSTAT):
	GOBIN=$(@D) go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)

$(BUF):
	GOBIN=$(@D) go install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)
