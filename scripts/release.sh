#!/usr/bin/env bash
# Builds a release: an archive and a list of components (CycloneDX) for each platform, and SHA256SUMS.
# Two builds of one commit are the same, byte for byte, with the same Go, tar and zip.
#
#   scripts/release.sh v1.2.3          into dist/v1.2.3
#   scripts/release.sh v1.2.3 DIR      into DIR
#   PLATFORMS=linux/arm64 scripts/release.sh …
#   scripts/release.sh --check         builds for this machine twice, in two places, and compares
#
# It needs GNU tar and zip.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C TZ=UTC CGO_ENABLED=0 GOFLAGS=

PLATFORMS=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}

commit=${COMMIT:-$(git rev-parse HEAD)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# build VERSION OS ARCH FILE. The version and the commit are told, so that they do not depend on
# what else lies in the tree.
build() {
  GOOS=$2 GOARCH=$3 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.release=$1 -X main.commit=$commit" -o "$4" ./cmd/grapevine
}

# fill OS DIR puts beside the program what belongs to it.
fill() {
  cp LICENSE README.md "$2"
  "$work/grapevine" man >"$2/grapevine.1"
  mkdir "$2/completions"
  cp cmd/grapevine/completions/* "$2/completions"
  cp scripts/systemd/config.yaml "$2/config.example.yaml"
  if [ "$1" = linux ]; then cp scripts/systemd/grapevine-relay.service "$2"; fi
}

# pack DIR FILE PROGRAM makes an archive in which times, owners, modes and the order are fixed.
pack() {
  local parent name
  parent=$(dirname "$1") name=$(basename "$1")
  find "$1" -type d -exec chmod 755 {} +
  find "$1" -type f -exec chmod 644 {} +
  chmod 755 "$1/$3"
  find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  case $2 in
  *.zip) (cd "$parent" && find "$name" | sort | zip -q -X -9 "$2" -@) ;;
  *) tar -C "$parent" --sort=name --owner=0 --group=0 --numeric-owner --format=ustar -cf - "$name" | gzip -n -9 >"$2" ;;
  esac
}

release() { # release VERSION DIR
  local version=$1 out platform os arch name binary
  mkdir -p "$2"
  out=$(cd "$2" && pwd)
  build "$version" "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" "$work/grapevine"
  for platform in $PLATFORMS; do
    os=${platform%/*} arch=${platform#*/}
    name=grapevine_${version#v}_${os}_${arch}
    binary=grapevine archive=$name.tar.gz
    if [ "$os" = windows ]; then binary=grapevine.exe archive=$name.zip; fi
    rm -rf "${work:?}/$name" "$out/$archive"
    mkdir "$work/$name"
    echo "$name"
    build "$version" "$os" "$arch" "$work/$name/$binary"
    fill "$os" "$work/$name"
    "$work/sbom" "$version" "$work/$name/$binary" >"$out/$name.cdx.json"
    pack "$work/$name" "$out/$archive" "$binary"
  done
  (cd "$out" && find . -name "grapevine_*" -type f -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
}

# check builds this tree, and a copy of it elsewhere with another umask and another zone.
check() {
  PLATFORMS="$(go env GOHOSTOS)/$(go env GOHOSTARCH) ${PLATFORMS_TOO:-}"
  release v0.0.0 "$work/one"
  mkdir -p "$work/elsewhere/tree"
  git ls-files -co --exclude-standard -z | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
    tar --null -T - -cf - | tar -xf - -C "$work/elsewhere/tree"
  (umask 077 && cd "$work/elsewhere/tree" && TZ=Asia/Tokyo COMMIT=$commit SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH PLATFORMS=$PLATFORMS \
    scripts/release.sh v0.0.0 "$work/two")
  cat "$work/one/SHA256SUMS"
  cmp "$work/one/SHA256SUMS" "$work/two/SHA256SUMS" || { echo "error: two builds are not the same" >&2; return 1; }
  [ "$(wc -l <"$work/one/SHA256SUMS")" -ge 2 ] || { echo "error: nothing was built" >&2; return 1; }
  "$work/grapevine" version | grep -q '^grapevine version v0.0.0 (commit ' || { echo "error: the version is missing" >&2; return 1; }
}

work=$(mktemp -d "${TMPDIR:-/tmp}/grapevine-release.XXXXXX")
trap 'rm -rf "$work"' EXIT
go build -o "$work/sbom" ./scripts/sbom
case ${1:-} in
--check) check ;;
v[0-9]*) release "$1" "${2:-dist/$1}" ;;
*)
  echo "error: name a version such as v1.2.3, or --check" >&2
  exit 2
  ;;
esac
