#!/usr/bin/env bash
# Prints figures.
#
#   scripts/bench.sh swarm                  all scenarios, three seeds each
#   scripts/bench.sh swarm --scenario even  one
#   scripts/bench.sh swarm --json           one JSON object a line
#
# All of it happens in virtual time: a busy machine takes longer, and prints the same.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
swarm)
  shift
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  go test -c -o "$dir/bench" ./scripts/bench
  "$dir/bench" -bench "$@"
  ;;
*)
  echo "usage: scripts/bench.sh swarm [--scenario NAMES] [--json] [--seeds N]" >&2
  exit 2
  ;;
esac
