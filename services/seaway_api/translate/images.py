"""Images as Docker's API shows them. Pure."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from seaway_api.translate.inspect import healthcheck_json
from seaway_api.translate.version import ApiVersion
from seaway_contracts.images import FormerContainer, History, ImageConfig, ImageRecord, Layer, RemovedImages
from seaway_docker.object_filters import ImageFacts
from seaway_docker.timestamps import ZERO_TIME, rfc3339nano

_SECOND = 1_000_000_000


def image_json(image: ImageRecord, version: ApiVersion) -> dict[str, Any]:
    """`GET /images/{name}/json`"""
    shown: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.repo_tags),
        "RepoDigests": list(image.repo_digests),
        "Parent": image.parent,
        "Comment": image.comment or (image.history[-1].comment if image.history else ""),
        "Created": rfc3339nano(image.created_ns) if image.created_ns else ZERO_TIME,
        "DockerVersion": image.docker_version,
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
    if version < (1, 44) and image.size:
        shown["VirtualSize"] = image.size
    return shown


def _config(config: ImageConfig) -> dict[str, Any]:
    former = config.former or FormerContainer()
    shown: dict[str, Any] = {
        "Hostname": former.hostname,
        "Domainname": former.domainname,
        "User": config.user,
        "AttachStdin": former.attach_stdin,
        "AttachStdout": former.attach_stdout,
        "AttachStderr": former.attach_stderr,
        "Tty": former.tty,
        "OpenStdin": former.open_stdin,
        "StdinOnce": former.stdin_once,
        "Env": list(config.env) or None,
        "Cmd": None if config.cmd is None else list(config.cmd),
        "Image": former.image,
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
        "ParentId": image.parent,
        "RepoDigests": [name for name in image.repo_digests if name in kept],
        "RepoTags": [name for name in image.repo_tags if name in kept],
        "SharedSize": shared,
        "Size": image.size,
    }
    if version < (1, 44) and image.size:
        shown["VirtualSize"] = image.size
    if version < (1, 43):
        none = not shown["RepoTags"] and not shown["RepoDigests"]
        shown["RepoTags"] = shown["RepoTags"] or (["<none>:<none>"] if none else None)
        shown["RepoDigests"] = shown["RepoDigests"] or (["<none>@<none>"] if none else None)
    return shown


Chain = tuple[int, str]
"""A layer upon others: the number of what is below it, and its diffID."""


def layer_uses(images: Sequence[ImageRecord]) -> dict[Chain, tuple[int, int]]:
    """The layers, each upon those below it: its bytes, and how many images have it."""
    numbers: dict[Chain, int] = {}
    uses: dict[Chain, tuple[int, int]] = {}
    for image in images:
        for chain, layer in zip(_chains(image, numbers), image.layers, strict=True):
            uses[chain] = layer_size(layer), uses.get(chain, (0, 0))[1] + 1
    return uses


def _chains(image: ImageRecord, numbers: dict[Chain, int]) -> list[Chain]:
    chains: list[Chain] = []
    below = -1
    for layer in image.layers:
        chains.append((below, layer.diff_id))
        below = numbers.setdefault(chains[-1], len(numbers))
    return chains


def shared_sizes(images: Sequence[ImageRecord]) -> dict[str, int]:
    """For each image the bytes of the layers, from the base up, that it has in common with another."""
    uses, numbers = layer_uses(images), dict[Chain, int]()
    sizes = {image.id: [uses[chain] for chain in _chains(image, numbers)] for image in images}
    return {image: sum(size for size, count in layers if count > 1) for image, layers in sizes.items()}


def image_facts(image: ImageRecord) -> ImageFacts:
    """What the filters compare."""
    references = (*image.repo_tags, *image.repo_digests)
    return ImageFacts(references, image.config.labels, image.created_ns)


def history_json(line: Sequence[ImageRecord]) -> list[dict[str, Any]]:
    """`GET /images/{name}/history`, newest step first. `line`: the image, the one that it was made of, and so on."""
    image = line[0]
    layers = iter(image.layers)
    steps = image.history or tuple(History(created_ns=image.created_ns) for _ in image.layers)
    lines = [_step(step, 0 if step.empty_layer else _next_size(layers)) for step in steps]
    lines.reverse()
    for shown, made in zip(lines, line, strict=False):
        shown |= {"Id": made.id, "Tags": list(made.repo_tags) or None}
    return lines


def _next_size(layers: Iterator[Layer]) -> int:
    layer = next(layers, None)
    return 0 if layer is None else layer_size(layer)


def layer_size(layer: Layer) -> int:
    """The bytes of its files; of its blob where those aren't known."""
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
