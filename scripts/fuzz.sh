#!/usr/bin/env bash
# Searches for inputs that break what reads foreign bytes. The inputs that each fuzz target
# begins with are run by `go test` as well.
#
#   scripts/fuzz.sh                        2000 tries for each target
#   scripts/fuzz.sh --time 10m             ten minutes for each
#   scripts/fuzz.sh --time 10m FuzzRTMP    for some
set -euo pipefail
cd "$(dirname "$0")/.."

# Tries unless time is asked for: whatever is under way when the time ends may count as
# failed (golang/go#75804).
for=2000x
if [ "${1:-}" = --time ]; then
  for=${2:?how long?}
  shift 2
fi
case "${1:-}" in -*)
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# search PACKAGE TARGET, in the package's directory.
search() {
  if "$dir/fuzz.test" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$for" \
    -test.fuzzminimizetime 10x -test.fuzzcachedir "$dir/corpus/$2" -test.timeout 0 2>&1 | tee "$dir/out"; then
    return 0
  fi
  if grep -q '^ *context deadline exceeded' "$dir/out" && ! grep -q 'Failing input' "$dir/out"; then
    echo "$1 $2: the time ended (golang/go#75804)"
    return 0
  fi
  echo "error: $1 $2 failed; the input is in its testdata/fuzz" >&2
  return 1
}

found=0
for package in $(go list -f '{{.Dir}}' ./...); do
  targets=$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$package"/*_test.go 2>/dev/null || true)
  if [ $# -gt 0 ]; then targets=$(grep -Fx "$(printf '%s\n' "$@")" <<<"$targets" || true); fi
  [ -n "$targets" ] || continue
  go test -c -fuzz . -o "$dir/fuzz.test" "$package"
  for target in $targets; do
    echo "${package#"$PWD"/} $target"
    (cd "$package" && search "${package#"$PWD"/}" "$target")
    found=$((found + 1))
  done
done
[ $found -gt 0 ] || { echo "error: no fuzz target is called $*; see: grep -r 'func Fuzz' --include=*_test.go ." >&2; exit 2; }
echo "$found targets, no finding"
