# Everything here is one command; nothing needs this file.
.PHONY: build test race ci up fuzz bench

build: ## the binary, pure Go
	CGO_ENABLED=0 go build -o countersign ./cmd/countersign

test: ## what the README promises
	go test ./...

race:
	go test -race ./internal/... ./cmd/...
	go test -race -short ./test/grpcinterop ./test/soak

ci: ## what has to pass before a change lands
	.ci/run

up: ## from nothing to a verified request
	go run ./cmd/countersign up

bench: ## the same work through nginx, HAProxy and countersign, side by side
	go run ./bench

fuzz: ## every parser of bytes from the network, a minute each
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do \
	  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$$file" | sed 's/func //' | while read -r name; do \
	    echo "== $$name"; go test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$name\$$" -fuzztime 60s || exit 1; \
	  done || exit 1; \
	done
