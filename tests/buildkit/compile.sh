#!/bin/sh
# Compile buildkitd and buildctl from Debian's docker.io source package, for tests/e2e/test_buildkit*.py.
# Needs root for Debian's golang packages (some 150 MB); takes some minutes, once. Usage: tests/buildkit/compile.sh
set -eu

cache=${SEAWAY_BUILDKIT_CACHE:-/var/cache/seaway-buildkit}
[ -x "$cache/buildkitd" ] && { echo "$cache/buildkitd is there"; exit 0; }

# apt with sources of its own: the machine's settings stay as they are
mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial" "$cache/apt/parts" "$cache/src"
. /etc/os-release
cat >"$cache/apt/parts/source.sources" <<END
Types: deb-src
URIs: ${DEBIAN_MIRROR:-http://deb.debian.org/debian}
Suites: $VERSION_CODENAME $VERSION_CODENAME-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
END
cat >"$cache/apt/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$cache/apt/parts";
Dir::State::lists "$cache/apt/lists";
Dir::Cache "$cache/apt/cache";
END
cd "$cache/src"
APT_CONFIG=$cache/apt/apt.conf apt-get -q update
# its .dsc isn't needed: apt checks each archive by the signed index
APT_CONFIG=$cache/apt/apt.conf apt-get -q source --tar-only docker.io
APT_CONFIG=$cache/apt/apt.conf apt-get -q source --diff-only docker.io
apt-get -q install --no-install-recommends --yes $(cat "$(dirname "$(realpath "$OLDPWD/$0" 2>/dev/null || realpath "$0")")/packages.txt")

rm -rf tree && mkdir -p tree/engine tree/buildkit tree/cli
tar xf docker.io_*.orig.tar.xz -C tree/engine --strip-components=1
tar xf docker.io_*.orig-buildkit.tar.xz -C tree/buildkit --strip-components=1
tar xf docker.io_*.orig-cli.tar.xz -C tree/cli --strip-components=1
tar xf docker.io_*.debian.tar.xz -C tree
