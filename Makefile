# Shortcuts for make. Each runs one command.
.PHONY: build demo image test lint fuzz bench release

# Variables of the image. The tag is the commit, because nodes do not pull a tag again that they have. For uncommitted changes, set TAG.
BUILDER ?= docker
VERSION ?= $(or $(shell git describe --tags --always 2>/dev/null),devel)
REVISION ?= $(or $(shell git rev-parse HEAD 2>/dev/null),unknown)
IMAGE := $(if $(REGISTRY),$(REGISTRY)/)cloud_quota_exporter
TAG ?= $(if $(REGISTRY),$(VERSION),latest)

build: ## the program, stripped
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o cloud_quota_exporter .

demo: ## the exporter with a simulated cloud
	go run . demo

image: ## the container image; with REGISTRY=registry.example.com/team it is pushed there, and deploy/k8s uses it
	$(BUILDER) build $(BUILD_FLAGS) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE):$(TAG) .
	$(if $(REGISTRY),$(BUILDER) push $(PUSH_FLAGS) $(IMAGE):$(TAG))
	@printf '%s\n' '# The image of all exporters. "make image" writes this file.' 'apiVersion: kustomize.config.k8s.io/v1alpha1' \
		'kind: Component' 'images:' '  - name: cloud_quota_exporter' '    newName: $(IMAGE)' '    newTag: "$(TAG)"' > deploy/k8s/image/kustomization.yaml
	@echo 'deploy/k8s uses $(IMAGE):$(TAG). With Helm: --set image.repository=$(IMAGE) --set-string image.tag=$(TAG)'

test: ## go vet and all tests; go run ./test all runs every check
	go run ./test

lint: ## only golangci-lint
	go tool -modfile=test/lint/go.mod golangci-lint run ./...

fuzz: ## every fuzz target for 10 seconds; go run ./test/fuzz 5m takes longer
	go run ./test/fuzz

bench: ## every figure of docs/performance.md, as benchstat reads them; about ten minutes
	go test -run 'TestAPIEconomy|TestSpread|TestColdScrapeInRounds|TestSlowService|TestThrottle' -bench . -timeout 1h . ./internal/web ./providers ./test/bench

release: ## archives, checksums and bills of materials of the last commit, in dist/
	go run ./test/release
