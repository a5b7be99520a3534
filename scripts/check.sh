#!/usr/bin/env bash
# Everything that CI runs. It stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

passed=0
step() { # step NAME COMMAND…
  local name=$1 began=$SECONDS
  shift
  echo "== $name"
  if ! "$@"; then
    echo "error: $name failed; try it alone: $*" >&2
    echo "$passed passed, 1 failed"
    exit 1
  fi
  passed=$((passed + 1))
  echo "-- $name: $((SECONDS - began)) s"
}

format() {
  local files
  files=$(git ls-files -co --exclude-standard '*.go' | while read -r f; do [ ! -e "$f" ] || echo "$f"; done | xargs gofmt -l)
  [ -z "$files" ] || { echo "not formatted:" $files; return 1; }
}

# Ten seconds of each fuzz target, found by listing. To make what is found smaller may not
# take them all: a run that ends meanwhile counts as failed.
fuzz() {
  local package target
  for package in $(go list ./...); do
    for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz'); do
      echo "$package $target"
      go test -run '^$' -fuzz "^$target\$" -fuzztime 10s -fuzzminimizetime 10x "$package" || return 1
    done
  done
}

# The tests have deadlines of their own; this bounds a machine that is stuck.
unit() { go test -race -timeout 15m ./...; }

step "tools" install_tools
step "format" format
step "vet" go vet ./...
step "staticcheck" go tool staticcheck ./...
step "tidy" go mod tidy -diff
step "arrows and dependencies" go test -run 'TestArrows|TestForbidden|TestDirectDependencies' ./cmd/grapevine
step "tests" unit
step "conformance" scripts/conformance.sh
step "fuzz" fuzz
step "swarm" scripts/bench.sh swarm --short
step "end to end" scripts/e2e.sh
echo "$passed passed, 0 failed"
