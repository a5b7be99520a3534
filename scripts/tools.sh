# Sourced by check.sh, e2e.sh and bench.sh: installs what the checks need and is not there, on a
# Debian machine as root, and says so.

# commands are what the checks call, and the Debian packages that bring them.
commands="
ffmpeg:ffmpeg
ffprobe:ffmpeg
cvlc:vlc-bin
mpv:mpv
Xvfb:xvfb
gst-launch-1.0:gstreamer1.0-tools
chromium:chromium
ip:iproute2
nft:nftables
sysctl:procps
runuser:util-linux
chrt:util-linux
node:nodejs
npm:npm
"

# plugins bring no command.
plugins="vlc-plugin-base vlc-plugin-video-output fonts-dejavu-core
gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"

# Exact versions: what the checks say must not change by itself. They run on Node 18,
# which Debian 12 has.
node_packages="puppeteer-core@24.43.0 hls-parser@0.16.1 axe-core@4.14.1"

install_tools() {
  local missing=() entry
  for entry in $commands; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
  done
  if command -v dpkg-query >/dev/null; then
    for entry in $plugins; do
      dpkg-query -W -f '${Status}' "$entry" 2>/dev/null | grep -q 'ok installed' || missing+=("$entry")
    done
  fi
  install_packages "${missing[@]}"
}

# install_nginx is for scripts/bench.sh hls only. Runlevel 1 keeps the package from
# starting a server of its own.
install_nginx() { command -v nginx >/dev/null || RUNLEVEL=1 install_packages nginx-light; }

install_packages() { # install_packages PACKAGE…
  [ $# -gt 0 ] || return 0
  echo "installing $*"
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: only root on Debian can install them; install them yourself and try again" >&2
    return 1
  fi
  apt-get -qq update >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

# install_node_packages sets NODE_MODULES to a directory outside the tree.
install_node_packages() {
  local dir="${XDG_CACHE_HOME:-$HOME/.cache}/grapevine-checks/${node_packages// /_}"
  NODE_MODULES="$dir/node_modules"
  if [ ! -e "$dir/complete" ]; then
    echo "installing $node_packages"
    mkdir -p "$dir"
    # The browser is Debian's: no script may download another.
    # shellcheck disable=SC2086 # two words
    npm install --prefix "$dir" --no-save --no-audit --no-fund --ignore-scripts --loglevel error $node_packages
    touch "$dir/complete"
  fi
}
