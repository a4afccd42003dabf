#!/bin/sh
# Compile buildkitd and buildctl from Debian's docker.io source package, for tests/e2e/test_buildkit*.py.
# As root, on Debian; takes some minutes, once: they stay in /var/cache/seaway-buildkit. Usage: tests/buildkit/compile.sh
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${SEAWAY_BUILDKIT_CACHE:-/var/cache/seaway-buildkit}
if [ -x "$cache/buildkitd" ] && [ -x "$cache/buildctl" ]; then
	echo "$cache has buildkitd and buildctl"
	exit 0
fi

# apt with sources of its own: the machine's settings stay as they are
mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial" "$cache/apt/parts" "$cache/src"
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
cat >"$cache/apt/parts/source.sources" <<END
Types: deb-src
URIs: ${DEBIAN_MIRROR:-http://deb.debian.org/debian}
Suites: $suite $suite-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
END
cat >"$cache/apt/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$cache/apt/parts";
Dir::State::lists "$cache/apt/lists";
Dir::Cache "$cache/apt/cache";
APT::Sandbox::User "root";
END
cd "$cache/src"
APT_CONFIG=$cache/apt/apt.conf apt-get -q update
for part in --tar-only --diff-only; do # apt checks each archive by the signed index, so the .dsc isn't needed
	APT_CONFIG=$cache/apt/apt.conf apt-get -q source --download-only "$part" docker.io
done
xargs apt-get -q install --no-install-recommends --yes <"$here/packages.txt"

rm -rf tree
mkdir -p tree
cd tree
tar xf ../docker.io_*.orig.tar.xz --strip-components=2 # ./moby-moby-…/engine
for archive in ../docker.io_*.orig-buildkit.tar.xz ../docker.io_*.orig-cli.tar.xz ../docker.io_*.debian.tar.xz; do
	tar xf "$archive"
done
grep -v '^#' debian/patches/series | grep . | while read -r patch; do
	patch -sp1 <"debian/patches/$patch"
done

# Debian's packages are a GOPATH
mkdir -p go/src/github.com/moby go/src/github.com/docker
ln -sfn "$PWD/buildkit" go/src/github.com/moby/buildkit
ln -sfn "$PWD/engine" go/src/github.com/docker/docker
ln -sfn "$PWD/cli" go/src/github.com/docker/cli
export GOPATH="$PWD/go:/usr/share/gocode" GO111MODULE=off GOPROXY=off GOCACHE="$cache/go-build"
export GOFLAGS="${GOFLAGS:--p=1}"
cd go/src/github.com/moby/buildkit
go build -tags "seccomp netgo osusergo" -o "$cache/buildkitd" ./cmd/buildkitd
go build -o "$cache/buildctl" ./cmd/buildctl
rm -rf "$cache/go-build"
echo "$cache has buildkitd and buildctl"
