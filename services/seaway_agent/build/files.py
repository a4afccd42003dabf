"""The builder's command line, and the files that it reads: registries, policy, login, runtime. Pure."""

import base64
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from seaway_contracts.builds import BuildBase, BuildOptions

USER: Final = "build"
"""The user name beside the token: the image service looks at the token alone."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ACCEPT: Final = [{"type": "insecureAcceptAnything"}]
_REJECT: Final = [{"type": "reject"}]
# Nobody has this registry: names that no base has lead nowhere.
_NOWHERE: Final = "nowhere.invalid"


def host_of(url: str) -> str:
    """`host:port` of the image service."""
    return urlsplit(url).netloc


def registries_conf(url: str, bases: Iterable[BuildBase]) -> str:
    """Has the builder look for each base's domain at the image service (containers-registries.conf(5))."""
    host, insecure = host_of(url), "true" if urlsplit(url).scheme == "http" else "false"
    domains = sorted({base.source.partition("/")[0] for base in bases} - {host})
    lines = [f'unqualified-search-registries = ["{_NOWHERE}"]', 'short-name-mode = "disabled"']
    for prefix, location in ((host, host), *((domain, f"{host}/{domain}") for domain in domains)):
        lines += ["[[registry]]", f"prefix = {json.dumps(prefix)}", f"location = {json.dumps(location)}"]
        lines.append(f"insecure = {insecure}")
    return "\n".join(lines) + "\n"


def policy_json(bases: Iterable[BuildBase]) -> str:
    """Accepts images of the image service alone, by the names of the bases (containers-policy.json(5)).

    All else, above all what lies on the node's disk, is rejected whatever a Dockerfile or a base's triggers name.
    """
    names = {_repository(base.source): _ACCEPT for base in bases}
    own = {"docker": names, "containers-storage": {"": _ACCEPT}}
    return json.dumps({"default": _REJECT, "transports": own})


def _repository(source: str) -> str:
    """The name without tag and digest."""
    name = source.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def auth_json(url: str, token: str) -> str:
    """The login at the image service (containers-auth.json(5))."""
    word = base64.b64encode(f"{USER}:{token}".encode()).decode()
    return json.dumps({"auths": {host_of(url): {"auth": word}}})


def runtime_script(runtime: str, directory: Path) -> str:
    """The OCI runtime as the builder calls it: the agent rewrites a step's config.json before the runtime reads it.

    `ctl` and `go` are pipes to and from the agent, `out` and `err` take what the step prints: so nothing that a step
    prints is taken for the builder's own words, and nothing is printed before its step is announced.
    """
    place, program = shlex.quote(str(directory)), shlex.quote(runtime)
    return f"""#!/bin/sh
d={place}
ask() {{ printf '%s\\n' "$1" >"$d/ctl" && read -r answer <"$d/go" && [ "$answer" = go ]; }}
case $1 in
create)
    [ "$2" = --bundle ] && ask "create $3" || exit 1
    {program} --root "$d/crun" "$@" </dev/null >"$d/out" 2>"$d/err" && exit 0
    ask failed
    exit 1
    ;;
start) ask start || exit 1 ;;
esac
exec {program} --root "$d/crun" "$@"
"""


def environment(directory: Path) -> dict[str, str]:
    """The builder's variables: it reads none of the host's settings, and writes nowhere else."""
    return {
        "PATH": PATH,
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "XDG_RUNTIME_DIR": str(directory / "home"),
        "CONTAINERS_REGISTRIES_CONF": str(directory / "registries.conf"),
        "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        "CONTAINERS_CONF": str(directory / "containers.conf"),
        "REGISTRY_AUTH_FILE": str(directory / "auth.json"),
    }


def global_words(buildah: str, store: Path, directory: Path) -> list[str]:
    """The builder with its store, and with a run directory of this build alone."""
    return [
        buildah, "--root", str(store), "--runroot", str(directory / "runroot"), "--storage-driver", "overlay",
        "--registries-conf", str(directory / "registries.conf"), "--registries-conf-dir", str(directory / "empty"),
        "--default-mounts-file", str(directory / "containers.conf"), "--log-level", "error",
    ]  # fmt: skip


def build_words(
    options: BuildOptions, bases: Sequence[BuildBase], directory: Path, limits: Mapping[str, tuple[int, int]]
) -> list[str]:
    """`build …`. `limits`: the agent's own limits by name, as the builder's defaults may be above those."""
    words = ["build", "--runtime", str(directory / "runtime"), "--isolation", "oci", "--network", "host"]
    words += ["--format", "docker", "--identity-label=false", "--security-opt", "seccomp=unconfined"]
    words += ["--signature-policy", str(directory / "policy.json"), "--authfile", str(directory / "auth.json")]
    words += ["--pull=missing", "--skip-unused-stages=false", "--http-proxy=false", "--no-hostname", "--no-hosts"]
    words += ["--squash", "--layers=false"] if options.squash else ["--layers"]
    words += ["--no-cache"] if options.no_cache else []
    for name, (soft, hard) in limits.items():
        words += ["--ulimit", f"{name}={soft}:{hard}"]
    for base in bases:
        words += ["--build-context", f"{base.name}=docker-image://{base.source}"]
    for name, value in options.args.items():
        words += ["--build-arg", f"{name}={value}"] if value is not None else []
    for name, text in options.labels.items():
        words += ["--label", f"{name}={text}"]
    words += ["--target", options.target] if options.target else []
    words += ["--ignorefile", str(directory / "ignore"), "-f", str(directory / "Dockerfile")]
    return [*words, str(directory / "context")]


def push_words(image: str, url: str, repository: str, directory: Path) -> list[str]:
    """`push …`: the image of that id into the image service."""
    words = ["push", "--quiet", "--signature-policy", str(directory / "policy.json")]
    words += ["--authfile", str(directory / "auth.json"), "--format", "v2s2"]
    return [*words, image, f"docker://{host_of(url)}/{repository}:latest"]
