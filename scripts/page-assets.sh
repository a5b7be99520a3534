#!/bin/sh
# Fetches the page's one dependency, hls.js, as its makers built it, and checks it
# against the integrity that is pinned here. The result is committed: building
# grapevine needs no npm. To move to another version, change both lines and read
# the package's change log.
set -eu

version=1.7.4
integrity=sha512-3GlxGdPvT2YHvQYOt+yOzT/DEior/qJVNIylHA77kgeoBTdQQqi70GwefNEUmHQeNGyjC8U62+bruqW/Tpm+tg==

page=$(cd "$(dirname "$0")/../hls/page" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "hls.js@$version" >/dev/null
got=sha512-$(openssl dgst -sha512 -binary "hls.js-$version.tgz" | openssl base64 -A)
if [ "$got" != "$integrity" ]; then
	echo "hls.js@$version is $got, want $integrity" >&2
	exit 1
fi
tar xzf "hls.js-$version.tgz" package/dist/hls.min.js package/LICENSE
# The source map stays behind, and so must the comment that points to it.
sed '/^\/\/# sourceMappingURL=/d' package/dist/hls.min.js >"$page/hls.min.js"
cp package/LICENSE "$page/hls.LICENSE.txt"
echo "hls.js $version: $(wc -c <"$page/hls.min.js") bytes"
