# Shortcuts for those who have make; each is one command of Go.
.PHONY: build demo test lint fuzz bench release

build: ## the program, stripped
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o cloud_quota_exporter .

demo: ## the exporter against a simulated cloud
	go run . demo

test: ## go vet and all tests; go run ./test all runs every check
	go run ./test

lint: ## golangci-lint alone
	go tool -modfile=test/lint/go.mod golangci-lint run ./...

fuzz: ## every fuzz target for 10 seconds; go run ./test/fuzz 5m takes longer
	go run ./test/fuzz

bench: ## every figure of docs/performance.md, as benchstat reads them; some seven minutes
	go test -run 'TestAPIEconomy|TestSlowService|TestThrottle' -bench . -timeout 1h . ./providers ./test/bench

release: ## archives, checksums and bills of materials of the last commit, in dist/
	go run ./test/release
