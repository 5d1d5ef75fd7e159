# Everything is built and run from here; "make help" lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
STATE := $(CURDIR)/.irene
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# build,NAME,PACKAGE builds a static program into bin.
build = CGO_ENABLED=0 GO='$(GO)' $(CURDIR)/fixtures/cluster/go-build $(BIN)/$(1) $(2) -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
say = @printf '\n== %s\n'

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

.PHONY: run
run: deps cluster-run binaries ## run Irene on an embedded Kubernetes with two apps, and print what matters
	@$(BIN)/irene-dev up --dir $(STATE) --bin $(BIN)

.PHONY: push
push: ## stage the folder DIR and run it at NAME.localhost: make push DIR=my-site NAME=my-site; ARGS="--env A=B" for more
	@if [ ! -x $(BIN)/irene-dev ]; then echo "nothing runs yet: make run"; exit 1; fi
	@$(BIN)/irene-dev push $(if $(DIR),"$(DIR)") --name "$(NAME)" --dir $(STATE) --bin $(BIN) $(ARGS)

.PHONY: guide
guide: ## print all that there is to look at once "make run" is done, as commands
	@if [ -x $(BIN)/irene-dev ]; then $(BIN)/irene-dev guide --dir $(STATE) --bin $(BIN); else echo "nothing runs yet: make run"; exit 1; fi

.PHONY: stop
stop: ## remove all that "make run" started
	@if [ -x $(BIN)/irene-dev ]; then $(BIN)/irene-dev down --dir $(STATE) --bin $(BIN); else echo "nothing was built, so nothing runs"; fi

.PHONY: test
test: deps ## all tests, in three tiers; installs what it needs
	@times=; trap 'printf "\n== time of each step\n$$times"' EXIT; \
	for step in cluster-node binaries helm lint unit test-chart test-control-plane test-node; do \
	  began=$$SECONDS; result=failed; \
	  $(MAKE) --no-print-directory $$step && result=; \
	  times+=$$(printf '%-20s %5d s %s' $$step $$((SECONDS - began)) $$result)'\n'; \
	  [ -z "$$result" ] || exit 1; \
	done; \
	printf '\n== all tests passed\n'

.PHONY: unit
unit: ## unit tests: seconds, on any machine with Go
	$(say) "unit tests"
	$(GO) test -race ./...
	@cd .ci/rules && $(GO) test ./...
	@cd fixtures/diegoclient && $(GO) test ./...

.PHONY: test-chart
test-chart: helm ## lint and templates of the Helm chart: seconds
	$(say) "chart tests"
	$(GO) test -tags chart -count 1 ./deploy/helm

.PHONY: chart-golden
chart-golden: helm ## write what the Helm chart renders, and its schema, anew
	$(GO) test ./cmd/irene -run TestChartSchema -update-chart
	$(GO) test -tags chart -count 1 ./deploy/helm -update

.PHONY: test-control-plane
test-control-plane: deps-control-plane cluster-control-plane binaries diegoclient ## tests against a real API server with fake nodes
	$(say) "control plane tests"
	@$(MAKE) --no-print-directory -C fixtures/cluster test-control-plane BIN=$(BIN)
	$(GO) test -race -tags controlplane -timeout 40m -count 1 -p 2 -v -run '$(CONTROL_PLANE_TESTS)' $(filter-out $(PARALLEL_SUITE),$(CONTROL_PLANE_SUITES))
	$(GO) tool ginkgo run -race -tags controlplane -timeout 40m -procs $(PROCS) -poll-progress-after 2m $(PARALLEL_SUITE)

.PHONY: test-node
test-node: deps cluster-node binaries helm ## tests with real containers; needs root
	$(say) "node tests"
	@$(MAKE) --no-print-directory -C fixtures/cluster test-node BIN=$(BIN)
	$(GO) test -race -tags node -timeout 30m -count 1 -p 1 -v -run '$(NODE_TESTS)' $(NODE_SUITES)

# The specs of this suite run in parallel processes, each with a control plane of its
# own. They wait most of their time, so there are more processes than cores.
PARALLEL_SUITE := ./cmd/irene/acceptance/controlplane
PROCS ?= 4

# Suites stand apart from unit tests by the build tag of their files. The unit tests of the same packages are not run again.
files_tagged = grep -rlE '^//go:build $(1)' --include '*_test.go' . | xargs -r
tests_tagged = ^($(shell $(call files_tagged,$(1)) sed -n 's/^func \(Test[A-Za-z0-9_]*\).t .*/\1/p' | sort -u | paste -sd '|'))$$
CONTROL_PLANE_SUITES := $(shell $(call files_tagged,controlplane) -n1 dirname | sort -u)
CONTROL_PLANE_TESTS := $(call tests_tagged,controlplane)
NODE_SUITES := $(shell $(call files_tagged,node) -n1 dirname | sort -u)
NODE_TESTS := $(call tests_tagged,node)

.PHONY: bench
bench: deps cluster-node binaries ## measure images, desire, list, instances, a move from Diego and staging, against baselines in the same run; the last needs root
	$(GO) test -timeout 20m -count 1 -run '^$$' -bench . ./bits ./bits/droplet
	$(GO) test -tags bench -timeout 60m -count 1 -v -run TestBenchmarks ./cmd/irene/acceptance/bench
	IRENE_MOVE_LRPS=1000 $(GO) test -tags controlplane -timeout 20m -count 1 -v ./cmd/irene/acceptance/controlplane -ginkgo.v -ginkgo.focus 'moves from Diego'
	$(GO) test -tags node,bench -timeout 30m -count 1 -v ./cmd/irene/acceptance/node -ginkgo.focus 'the benchmark of staging'

.PHONY: lint
lint: ## what CI checks beside tests
	$(say) "lint"
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags controlplane,node,bench,chart ./...
	$(GO) tool -modfile=.ci/lint/go.mod staticcheck -tags controlplane,node,bench,chart ./...
	$(GO) tool -modfile=.ci/lint/go.mod revive -config .ci/lint/revive.toml -exclude fixtures/cluster/... ./...
	@$(MAKE) --no-print-directory -C fixtures/cluster vet
	@cd fixtures/diegoclient && $(GO) vet ./...

.PHONY: binaries
binaries: | $(BIN) ## build irene, launch, irene-stage and irene-dev into bin
	$(say) "build irene (about a minute the first time)"
	@$(call build,irene,./cmd/irene)
	@$(call build,launch,./cmd/launch)
	@$(call build,irene-stage,./cmd/irene-stage)
	@$(call build,irene-dev,./cmd/irene-dev)
	@$(call build,sampleapp,./fixtures/sampleapp)
	@$(call build,fileserver,./fixtures/buildpack/fileserver)

.PHONY: diegoclient
diegoclient: | $(BIN) # Diego's own client, with which tests call the BBS door
	$(say) "build Diego's client (seconds)"
	@cd fixtures/diegoclient && $(call build,diegoclient,.)

$(BIN):
	@mkdir -p $@

.PHONY: helm
helm: | $(BIN) # the release that the chart is tested with
	$(say) "build helm (2 minutes the first time)"
	@cd .ci/helm && CGO_ENABLED=0 GO='$(GO)' $(CURDIR)/fixtures/cluster/go-build $(BIN)/helm helm.sh/helm/v4/cmd/helm -trimpath -ldflags "-s -w"

.PHONY: images
images: ## build the image of irene, the same from the same source, and push it: make images REGISTRY=registry.example; PLATFORMS=linux/amd64,linux/arm64 for more
	@if [ -z "$(REGISTRY)" ]; then echo "where to? make images REGISTRY=registry.example/cf"; exit 1; fi
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)} $(GO) run ./deploy/images --repository $(REGISTRY)/irene \
	  --version $(VERSION) --revision "$$(git rev-parse HEAD 2>/dev/null || true)" $(if $(PLATFORMS),--platforms $(PLATFORMS)) $(ARGS)

.PHONY: cluster-control-plane
cluster-control-plane: | $(BIN) # the embedded Kubernetes without a node
	$(say) "build the embedded Kubernetes"
	@$(MAKE) --no-print-directory -C fixtures/cluster control-plane BIN=$(BIN)

.PHONY: cluster-run
cluster-run: | $(BIN) # the embedded Kubernetes with a real node and without the keeper of fake ones
	$(say) "build the embedded Kubernetes"
	@$(MAKE) --no-print-directory -C fixtures/cluster irene-cluster node BIN=$(BIN)

.PHONY: cluster-node
cluster-node: cluster-control-plane # the same with containerd, runc and CNI plugins
	@$(MAKE) --no-print-directory -C fixtures/cluster node BIN=$(BIN)

.PHONY: deps
deps: # Debian packages for everything
	@$(MAKE) --no-print-directory -C fixtures/cluster deps
	@missing=; [ -x /bin/busybox ] || missing=busybox-static; command -v curl >/dev/null || missing="$$missing curl"; \
	if [ -n "$$missing" ]; then \
	  echo "==> deps: installing $$missing (small images for node tests; what \"make run\" says to try)"; \
	  apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $$missing; fi

.PHONY: deps-control-plane
deps-control-plane: # nothing but Go at present
	@true

.PHONY: clean
clean: stop ## remove everything that was built
	rm -rf $(BIN) $(STATE)
