#!/usr/bin/env bash
# Has every kind of playlist go through every fault in virtual time, holds each reload to
# each rule (hls/rules_test.go), and has hls-parser read each playlist in its strict mode.
#
#   scripts/conformance.sh              some minutes of stream for each fault
#   scripts/conformance.sh --hours 6    and hours of all of them for each kind of playlist;
#                                       --seed 2 is another order
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

long=()
while (($#)); do
  case "$1" in
  --hours) long+=(-hours "${2:?how many}h") ;;
  --seed) long+=(-seed "${2:?which}") ;;
  *)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
  esac
  shift 2
done

install_tools
install_node_packages
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/playlists"
go test -count 1 -timeout 2h -run '^TestConformance' ./hls "${long[@]}" -playlists "$dir/playlists"
NODE_PATH=$NODE_MODULES node scripts/e2e/playlists.mjs "$dir/playlists"
