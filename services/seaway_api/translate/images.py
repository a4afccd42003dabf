"""Images as Docker's API shows them. Pure."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from seaway_api.translate.inspect import healthcheck_json
from seaway_api.translate.version import ApiVersion
from seaway_contracts.images import History, ImageConfig, ImageRecord, Layer, RemovedImages
from seaway_docker.object_filters import ImageFacts
from seaway_docker.timestamps import ZERO_TIME, rfc3339nano

_SECOND = 1_000_000_000


def image_json(image: ImageRecord, version: ApiVersion) -> dict[str, Any]:
    """`GET /images/{name}/json`"""
    shown: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.repo_tags),
        "RepoDigests": list(image.repo_digests),
        "Parent": "",
        "Comment": image.comment or (image.history[-1].comment if image.history else ""),
        "Created": rfc3339nano(image.created_ns) if image.created_ns else ZERO_TIME,
        "DockerVersion": "",
        "Author": image.author,
        "Config": _config(image.config),
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": {}, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        "Metadata": {"LastTagTime": rfc3339nano(image.last_tag_ns) if image.last_tag_ns else ZERO_TIME},
    }
    if image.variant:
        shown["Variant"] = image.variant
    if version < (1, 44):
        shown["VirtualSize"] = image.size
    return shown


def _config(config: ImageConfig) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Hostname": "",
        "Domainname": "",
        "User": config.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": list(config.env) or None,
        "Cmd": None if config.cmd is None else list(config.cmd),
        "Image": "",
        "Volumes": {path: {} for path in config.volumes} or None,
        "WorkingDir": config.workdir,
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "OnBuild": list(config.on_build) or None,
        "Labels": config.labels or None,
    }
    if config.exposed_ports:
        shown["ExposedPorts"] = {port: {} for port in config.exposed_ports}
    if config.stop_signal:
        shown["StopSignal"] = config.stop_signal
    if config.shell is not None:
        shown["Shell"] = list(config.shell)
    if config.healthcheck is not None:
        shown["Healthcheck"] = healthcheck_json(config.healthcheck)
    return shown


def image_line(
    image: ImageRecord,
    version: ApiVersion,
    kept: Collection[str] | None = None,
    *,
    containers: int = -1,
    shared: int = -1,
) -> dict[str, Any]:
    """One line of `GET /images/json`; -1 is unknown, `shared` in bytes. Of its names those in `kept`, if given."""
    kept = frozenset((*image.repo_tags, *image.repo_digests) if kept is None else kept)
    shown: dict[str, Any] = {
        "Containers": containers,
        "Created": image.created_ns // _SECOND,
        "Id": image.id,
        "Labels": image.config.labels or None,
        "ParentId": "",
        "RepoDigests": [name for name in image.repo_digests if name in kept],
        "RepoTags": [name for name in image.repo_tags if name in kept],
        "SharedSize": shared,
        "Size": image.size,
    }
    if version < (1, 44):
        shown["VirtualSize"] = image.size
    if version < (1, 43):
        none = not shown["RepoTags"] and not shown["RepoDigests"]
        shown["RepoTags"] = shown["RepoTags"] or (["<none>:<none>"] if none else None)
        shown["RepoDigests"] = shown["RepoDigests"] or (["<none>@<none>"] if none else None)
    return shown


def shared_sizes(images: Sequence[ImageRecord]) -> dict[str, int]:
    """For each image the bytes of the layers, from the base up, that it has in common with another."""
    known: dict[tuple[int, str], int] = {}
    chains: dict[str, list[int]] = {}
    for image in images:
        chain = chains.setdefault(image.id, [])
        for layer in image.layers:
            chain.append(known.setdefault((chain[-1] if chain else -1, layer.diff_id), len(known)))
    users = Counter(number for chain in chains.values() for number in chain)
    return {
        image.id: sum(
            _layer_size(layer)
            for number, layer in zip(chains[image.id], image.layers, strict=True)
            if users[number] > 1
        )
        for image in images
    }


def image_facts(image: ImageRecord) -> ImageFacts:
    """What the filters compare."""
    references = (*image.repo_tags, *image.repo_digests)
    return ImageFacts(references, image.config.labels, image.created_ns)


def history_json(image: ImageRecord) -> list[dict[str, Any]]:
    """`GET /images/{name}/history`, newest step first."""
    layers = iter(image.layers)
    steps = image.history or tuple(History(created_ns=image.created_ns) for _ in image.layers)
    lines = [_step(step, 0 if step.empty_layer else _next_size(layers)) for step in steps]
    lines.reverse()
    if lines:
        lines[0] |= {"Id": image.id, "Tags": list(image.repo_tags) or None}
    return lines


def _next_size(layers: Iterator[Layer]) -> int:
    layer = next(layers, None)
    return 0 if layer is None else _layer_size(layer)


def _layer_size(layer: Layer) -> int:
    return layer.size if layer.diff_size is None else layer.diff_size


def _step(step: History, size: int) -> dict[str, Any]:
    return {
        "Comment": step.comment,
        "Created": step.created_ns // _SECOND,
        "CreatedBy": step.created_by,
        "Id": "<missing>",
        "Size": size,
        "Tags": None,
    }


def removed_json(removed: RemovedImages) -> list[dict[str, str]]:
    """`DELETE /images/{name}`"""
    return [{"Untagged": item.untagged} if item.untagged else {"Deleted": item.deleted} for item in removed.items]
