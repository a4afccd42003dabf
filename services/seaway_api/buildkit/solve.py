"""What is changed in a Solve: where the image goes, and where its bases come from. Pure.

buildx asks the daemon's own exporter, `moby`, to put the image into the daemon's store. A stock buildkitd has none; its
exporter `docker` with `tar=false` offers the image's blobs to the session's content store instead, and we take them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from seaway_api.buildkit.messages import new, parse

MOBY: Final = "moby"
STORE: Final = "seaway-store"
"""The content store of a session that is answered from the image service."""
_DIGEST: Final = "containerimage.digest"
_CONFIG: Final = "containerimage.config.digest"
_NAMES: Final = "image.name"
_CONTEXT: Final = "context:"
_RESOLVE: Final = "image-resolve-mode"
_PLATFORM: Final = "platform"
_LATEST: Final = ":latest"
_SNAPSHOTTER: Final = "org.mobyproject.buildkit.worker.snapshotter"
_GATEWAY_IP: Final = "org.mobyproject.buildkit.worker.moby.host-gateway-ip"
_ONE_PLATFORM: Final = (
    "Seaway keeps one platform of an image, so it can't build for several at once: build one platform at a time, "
    "or let buildx push the image from a builder of its own (docker buildx create --driver docker-container)"
)
_TWO_STORES: Final = (
    "one build can't write an image both into Seaway's store and as a directory (tar=false): give only one of them"
)


_RIGHTS: Final = (
    "{}: builds get no rights beyond those of a container. Build without --allow and --network host, "
    "or with DOCKER_BUILDKIT=0, which can give a build the host's network"
)


class Refused(ValueError):
    """What is asked can't be done; the sentence is for the user."""


@dataclass(frozen=True)
class PlannedSolve:
    """A request as it goes to the builder. `ours`: whether the image comes to us. `session`: the client's;
    `ref`: the build's id."""

    request: bytes
    session: str = ""
    ref: str = ""
    ours: bool = False


def plan_solve(data: bytes) -> PlannedSolve:
    """`Control.Solve` with our exporter instead of `moby`. Raises Refused, WrongMessage."""
    asked = parse("SolveRequest", data)
    _check_platform(asked.FrontendAttrs)
    if asked.Entitlements:
        raise Refused(_RIGHTS.format(", ".join(asked.Entitlements)[:200]))
    exporters = [exporter for exporter in asked.Exporters if exporter.Type == MOBY]
    deprecated = asked.ExporterDeprecated == MOBY
    if not exporters and not deprecated:
        return PlannedSolve(data, asked.Session, asked.Ref)
    if any(_is_directory(exporter) for exporter in asked.Exporters):
        raise Refused(_TWO_STORES)
    for exporter in exporters:
        exporter.Type = "docker"
        _set_attributes(exporter.Attrs)
    if deprecated:
        asked.ExporterDeprecated = "docker"
        _set_attributes(asked.ExporterAttrsDeprecated)
        if not asked.Exporters:
            asked.Exporters.append(new("Exporter", Type="docker", Attrs=dict(asked.ExporterAttrsDeprecated)))
    return PlannedSolve(asked.SerializeToString(), asked.Session, asked.Ref, ours=True)


def _is_directory(exporter: Any) -> bool:
    return exporter.Type in ("docker", "oci") and exporter.Attrs.get("tar", "true").lower() in ("false", "0")


def _set_attributes(attributes: Any) -> None:
    """Layers go uncompressed unless a kind was asked for: compressing takes longer than all the rest."""
    attributes["tar"] = "false"
    if "compression" not in attributes:
        attributes["compression"] = "uncompressed"
    for key in ("push", "load", "store", "unpack"):
        attributes.pop(key, None)


def _check_platform(options: Mapping[str, str]) -> None:
    if "," in options.get(_PLATFORM, ""):
        raise Refused(_ONE_PLATFORM)


@dataclass(frozen=True)
class Built:
    """What a build has made: the manifest's digest, and the names that it gets, as the builder spells them."""

    manifest: str
    names: tuple[str, ...] = ()


def built(data: bytes) -> Built | None:
    """What the answer to a Solve says; None if it made no image."""
    said = parse("SolveResponse", data).ExporterResponse
    if not said.get(_DIGEST):
        return None
    return Built(said[_DIGEST], tuple(name for name in said.get(_NAMES, "").split(",") if name))


def answer_as_moby(data: bytes) -> bytes:
    """The answer as the daemon's own exporter gives it: the image's digest is its id, as compose expects."""
    answer = parse("SolveResponse", data)
    if answer.ExporterResponse.get(_CONFIG):
        answer.ExporterResponse[_DIGEST] = answer.ExporterResponse[_CONFIG]
    encoded: bytes = answer.SerializeToString()
    return encoded


# --- bases


@dataclass(frozen=True)
class GatewaySolve:
    """`LLBBridge.Solve`. `local`: whether bases are taken from the store first.

    `dockerfile`: its path in the client's directory `directory`; empty where the client doesn't have it.
    """

    data: bytes
    local: bool = False
    directory: str = ""
    dockerfile: str = ""


def read_gateway_solve(data: bytes) -> GatewaySolve:
    """What it asks. Raises Refused, WrongMessage."""
    asked = parse("GatewaySolveRequest", data)
    options = asked.FrontendOpt
    _check_platform(options)
    local = bool(asked.Frontend) and options.get(_RESOLVE, "local") == "local"
    directory = options.get("dockerfilekey", "" if options.get("context") else "dockerfile")
    return GatewaySolve(data, local, directory, options.get("filename", "Dockerfile") if directory else "")


def with_bases(data: bytes, bases: Mapping[str, str]) -> bytes:
    """The gateway's request with these images (manifest digests by the name in FROM) as named contexts."""
    asked = parse("GatewaySolveRequest", data)
    for name, digest in bases.items():
        if _CONTEXT + name not in asked.FrontendOpt:
            asked.FrontendOpt[_CONTEXT + name] = f"oci-layout://{STORE}@{digest}"
    encoded: bytes = asked.SerializeToString()
    return encoded


def base_name(tag: str) -> str:
    """An image's name as BuildKit looks up contexts: familiar, without `:latest`."""
    return tag.removesuffix(_LATEST)


def usable_bases(tags: Iterable[str], dockerfile: "NamesInDockerfile | None") -> list[str]:
    """Which images, by name, may stand for a FROM of that name.

    A context replaces a stage of its name, too: so no image may have the name of a stage.
    """
    names = map(base_name, tags)
    if dockerfile is None:
        return [name for name in names if not _could_be_stage(name)]
    return [
        name
        for name in names
        if name.lower() not in dockerfile.stages and (dockerfile.open or name in dockerfile.bases)
    ]


def _could_be_stage(name: str) -> bool:
    return ":" not in name and "/" not in name and "@" not in name


@dataclass(frozen=True)
class NamesInDockerfile:
    """The stages of a Dockerfile (lower case), and the images that it names.

    `open`: some name has a variable in it, so any image may be meant.
    """

    stages: frozenset[str]
    bases: frozenset[str]
    open: bool


def names_in_dockerfile(text: str) -> NamesInDockerfile:
    """What a Dockerfile names, read generously: a line that only looks like an instruction counts as one."""
    stages, bases = set[str](), set[str]()
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").replace("`\n", " ").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0].upper() == "FROM":
            given = [word for word in words[1:] if not word.startswith("--")]
            if len(given) >= 3 and given[1].upper() == "AS":
                stages.add(given[2].lower())
            bases.update(given[:1])
        for word in words[1:]:
            for part in word.split(","):
                key, _, value = part.removeprefix("--mount=").removeprefix("--").partition("=")
                if key == "from":
                    bases.add(value)
    is_open = any("$" in name for name in bases)
    return NamesInDockerfile(frozenset(stages), frozenset(map(_normal, bases)), is_open)


def _normal(name: str) -> str:
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "library/"):
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    return base_name(name)


# --- workers


def workers_as_moby(data: bytes, gateway_ip: str = "") -> bytes:
    """`Control.ListWorkers` as of a daemon without containerd's store: buildx then builds for one platform, without
    attestations, and takes `host-gateway` from the label.
    """
    answer = parse("ListWorkersResponse", data)
    for worker in answer.record:
        worker.Labels.pop(_SNAPSHOTTER, None)
        if gateway_ip:
            worker.Labels[_GATEWAY_IP] = gateway_ip
    encoded: bytes = answer.SerializeToString()
    return encoded


def builder_version(data: bytes) -> str:
    """What the workers say of their version."""
    for worker in parse("ListWorkersResponse", data).record:
        if worker.BuildkitVersion.version:
            return str(worker.BuildkitVersion.version)
    return ""
