#!/usr/bin/env bash
# Runs real processes: an encoder, nodes, players. See scripts/e2e/main.go.
#
#   scripts/e2e.sh              all cases
#   scripts/e2e.sh stdin vlc    some
#   scripts/e2e.sh -at-once 2   all cases, two at a time
#   scripts/e2e.sh -list        their names
#   scripts/e2e.sh --players    six players go through each fault;
#                               --faults late,hole and --with vlc,mpv are some
#   scripts/e2e.sh --encoders   six players play what each encoder sends;
#                               --from rtmp,srt and --with vlc,mpv are some
#   scripts/e2e.sh --delays     how old pictures are on players' screens, three hops away
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

install_tools
install_node_packages
out=$(mktemp -d "${TMPDIR:-/tmp}/grapevine-e2e.XXXXXX")
chmod 755 "$out"
echo "logs and screenshots: $out"
go build -o "$out/grapevine" ./cmd/grapevine
go build -o "$out/e2e" ./scripts/e2e
go build -o "$out/lossy" ./scripts/e2e/lossy
# It ends what it started when it gets a signal itself.
exec "$out/e2e" -grapevine "$out/grapevine" -node-modules "$NODE_MODULES" -out "$out" "$@"
