#!/usr/bin/env bash
# Prints figures: of swarms, their faults and a relay's months in virtual time, where a busy machine takes longer
# and prints the same, and of one relay, one HLS server, one ingest, what keeps streams on a disk,
# of discovery and of sealing in real time, where it does not.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat >&2 <<'END'
usage: scripts/bench.sh swarm [options]
       scripts/bench.sh offload [options]   the swarm scenarios with an HTTP origin
       scripts/bench.sh attack [options]    the swarm scenarios with attackers

Production nodes on simulated links in virtual time. Options:
  --scenario NAMES  only these, separated by commas
  --seeds N         seeds 1 to N instead of 1 to 3
  --json            one JSON object per scenario and way, and nothing else, on stdout
  --classic=false   without ordinary gossipsub messages beside it
  --plot DIR        draw SVGs into a directory: the delay's distribution, growth with N
  --short           three scenarios, 16 nodes, one seed; fails on gross regressions (CI)
  --parallel N      runs at a time; as many as there are cores unless told otherwise
  --nodes N, --segments N   instead of a scenario's

Scenarios, 4 Mbit/s, 25 ms one way, downlinks 100 Mbit/s unless said otherwise:
  even      50 nodes, uplinks 20 Mbit/s
  wide100   100 nodes; wide means this and the next
  wide200   200 nodes
  thin      100 nodes, the broadcaster's uplink 5.2
  starved   50 nodes, the broadcaster's uplink 8, the others' 6
  edge      50 nodes, uplinks so that utilisation is 0.9, deadline 5 s
  edge85    the same at a utilisation of 0.85
  uneven    100 nodes, uplinks 30% 1, 50% 8, 20% 50; latencies 5 to 150 ms
  churn     even, 2% of the nodes die and as many join each second
  loss      even, 2% of packets lost
  crowd     10 nodes, then 90 join within 2 s
  liars     even, 15% claim to have and never send, 5% forge
  offload   20 viewers, uplinks 20, and an HTTP origin: the share that came from peers
  offload-starved   the same, the broadcaster's uplink 5.2, the others' 4
  offload-cut       the same as offload, the broadcaster reaches nobody but the origin
  attack-forged, attack-replayed, attack-chunks, attack-unasked, attack-withheld,
  attack-equivocation, attack-malformed, attack-oversize, attack-wants, attack-groups,
  attack-control, attack-fetches, attack-slow, attack-all
            even, a fifth of the nodes attack; the last has them all; attack means these
            and the next three
  headers   40 nodes, 50,000 forged headers a second at the broadcaster by ten sybils
  connections   40 nodes, 10,000 connections to the broadcaster from 1,000 addresses
  eclipse   20 nodes, ten join by links to 32 liars and to 8 of them
  schedule100, schedule1000, schedule10000
            even with so many nodes, their decisions only; schedule means all three
  long      8 nodes, 6 h of 300 kbit/s; seed 1 only

Columns are explained below the table, and in scripts/bench/doc.go.

       scripts/bench.sh relay [options]

One relay on real sockets and one core, beside the same bytes copied over bare QUIC
streams; needs Linux. Busy neighbours spoil it: chrt -r 1 keeps them away. Options:
  --neighbours N    feed N nodes instead of looking for the most
  --rate BITS       of the stream instead of 4 Mbit/s
  --runs N, --interval DURATION   of the measurement
  --cache BYTES, --memory BYTES   the relay's cache, and its bound beside it
  --max-upload BITS               what it takes its uplink to carry; 0 has it measure
  --json            one JSON object, and nothing else, on stdout
  --profile FILE    write the relay's CPU profile, and others beside it

       scripts/bench.sh hls [options]

HLS from one core, beside nginx serving the same files from memory; needs Linux and
nginx, which it installs as root on Debian. Options:
  --clients N       instead of 64
  --rate BITS       of the stream instead of 4 Mbit/s
  --runs N, --interval DURATION   of the measurement
  --json            one JSON object, and nothing else, on stdout
  --profile FILE    write the server's CPU profile

       scripts/bench.sh ingest [options]

Memory and CPU time of a broadcast's ingest over hours of stream, as fast as it goes; needs
Linux. Options:
  --hours N         instead of 6
  --rate BITS       of the stream instead of 20 Mbit/s
  --json            one JSON object, and nothing else, on stdout

       scripts/bench.sh store [options]

What keeps streams on a disk, beside bbolt with the same parts in it: bytes written, CPU time,
memory, reads and reopening; needs Linux. Options:
  --streams N       instead of 4
  --rate BITS       of each stream instead of 8 Mbit/s
  --size BYTES      bound of what is kept instead of 1 GiB; twice as much is written
  --dir DIR         on the disk to be measured
  --json            one JSON object, and nothing else, on stdout

       scripts/bench.sh discovery [options]

How long viewers take from the bare stream ID to a playable playlist, in a DHT of their own:
real processes on loopback. Options:
  --nodes N         instead of 30
  --linked N        so many viewers more by the link, instead of 5
  --most DURATION   fail if the median is longer, instead of 2s
  --json            one JSON object, and nothing else, on stdout

       scripts/bench.sh soak [options]

What a relay holds that is left alone for days of virtual time, while public streams and their
viewers come and go. Options:
  --days N          instead of 30
  --streams N       a day, instead of 4
  --seed N          instead of 1
  --json            one JSON object a day, and nothing else, on stdout

       scripts/bench.sh reports [options]

What a broadcaster is told of its swarm, beside the truth, and what that costs, in virtual time;
half of the nodes agreed to report. Options:
  --nodes N         instead of 60
  --seed N          instead of 1
  --json            one JSON object, and nothing else, on stdout

       scripts/bench.sh chaos [options]

Everything goes wrong in a swarm in virtual time, by seeds, and what must hold is checked all the
time; scripts/bench/chaos/doc.go says what. Fails if something did not hold. Options:
  --seeds N         instead of 8
  --minutes M       of virtual time each, instead of 10
  --first SEED      the first of them, instead of 1
  --parallel N      runs at a time; as many as there are cores unless told otherwise
  --json            one JSON object, and nothing else, on stdout

       scripts/bench.sh seal [options]

What it costs to seal a stream: a broadcaster and a viewer on loopback, with the same parts plain
and sealed in turns. Options:
  --rate BITS       of the stream instead of 8 Mbit/s
  --runs N, --interval DURATION   of the measurement
  --json            one JSON object, and nothing else, on stdout
END
  exit 2
}

case "${1:-}" in
swarm | offload | attack)
  case "$1" in
  offload) set -- "$1" --scenario offload,offload-starved,offload-cut "${@:2}" ;;
  attack) set -- "$1" --scenario attack --seeds 1 "${@:2}" ;;
  esac
  shift
  case "${1:-}" in -h | --help | help) usage ;; esac
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  go test -c -o "$dir/bench" ./scripts/bench
  "$dir/bench" -bench "$@"
  ;;
soak)
  shift
  case "${1:-}" in -h | --help | help) usage ;; esac
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  go test -c -o "$dir/soak" ./scripts/bench/soak
  "$dir/soak" -test.timeout 0 -days 30 "$@"
  ;;
reports)
  shift
  case "${1:-}" in -h | --help | help) usage ;; esac
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  go test -c -o "$dir/reports" ./scripts/bench/reports
  "$dir/reports" -test.timeout 0 -nodes 60 "$@"
  ;;
chaos)
  shift
  case "${1:-}" in -h | --help | help) usage ;; esac
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  go test -c -o "$dir/chaos" ./scripts/bench/chaos
  "$dir/chaos" -test.timeout 0 -seeds 8 "$@"
  ;;
relay | hls | ingest | discovery | store | seal)
  what=$1
  shift
  case "${1:-}" in -h | --help | help) usage ;; esac
  if [ "$what" = hls ]; then
    . scripts/tools.sh
    install_nginx >&2
  fi
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  go build -o "$dir/$what" "./scripts/bench/$what"
  if [ "$what" = discovery ]; then
    go build -o "$dir/grapevine" ./cmd/grapevine
    set -- --grapevine "$dir/grapevine" "$@"
  fi
  # In the background, so that a signal to this shell alone ends it, too.
  "$dir/$what" "$@" &
  trap 'kill $! 2>/dev/null' INT TERM
  code=0
  wait $! || code=$?
  wait $! 2>/dev/null || true
  exit $code
  ;;
*) usage ;;
esac
