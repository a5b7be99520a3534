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

# The tests have deadlines of their own; this bounds a machine that is stuck. The race
# detector itself crashes in synctest's bubbles when two threads use the timers of one
# (golang/go#78156): p2p, which has most of them, is tested on one core, beside all others, and
# packages in which only that happened are tested once more, likewise.
unit() {
  local out others_failed=0 p2p p2p_out crashed
  out=$(mktemp) p2p_out=$(mktemp)
  go test -race -cpu 1 -timeout 20m ./p2p >"$p2p_out" 2>&1 &
  p2p=$!
  # shellcheck disable=SC2046 # paths have no spaces
  go test -race -timeout 20m $(go list ./... | grep -v '/p2p$') 2>&1 | tee "$out" || others_failed=1
  if ! wait $p2p; then
    cat "$p2p_out"
    return 1
  fi
  cat "$p2p_out"
  [ $others_failed = 1 ] || return 0
  crashed=$(detector_crashed "$out")
  [ -n "$crashed" ] || return 1
  echo "the race detector crashed; once more:" $crashed
  go test -race -cpu 1 -timeout 20m $crashed
}

# detector_crashed OUTPUT prints the packages that failed, if none did for another reason.
detector_crashed() {
  if grep -Eq '^ *--- FAIL|DATA RACE|^panic:|^fatal error:|\[(build|setup) failed\]' "$1"; then return; fi
  if ! grep -Eq 'ThreadSanitizer: CHECK failed|^SIG(SEGV|ABRT): ' "$1"; then return; fi
  awk '$1 == "FAIL" && $2 ~ /\// { print $2 }' "$1"
}

# beside is what runs beside the end-to-end cases, on what they leave of the machine: clocks are
# virtual in it. Cases mostly wait for the stream, but with three at a time browsers fell behind.
beside() {
  scripts/conformance.sh && scripts/bench.sh swarm --short && scripts/fuzz.sh
}

# beside_result waits for it, and says how it ended.
beside_result() {
  local failed=0
  wait $beside || failed=1
  cat "$beside_log"
  return $failed
}

step "tools" install_tools
step "format" format
step "vet" go vet ./...
step "staticcheck" go tool staticcheck ./...
step "tidy" go mod tidy -diff
step "arrows and dependencies" go test -run 'TestArrows|TestForbidden|TestDirectDependencies' ./cmd/grapevine
step "tests" unit
beside_log=$(mktemp)
set -m # a group of its own, which ends as a whole
(chrt --idle -p 0 $BASHPID; beside) >"$beside_log" 2>&1 &
beside=$!
set +m
trap 'kill -- -$beside 2>/dev/null || true' EXIT
step "end to end" scripts/e2e.sh -at-once 2
step "conformance, swarm, fuzz" beside_result
echo "$passed passed, 0 failed"
