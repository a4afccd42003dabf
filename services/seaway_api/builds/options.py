"""The parameters of `POST /build`, checked and translated (moby api/server/router/build). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from multidict import MultiMapping

from seaway_contracts.builds import BuildOptions
from seaway_contracts.containers import Resources, Ulimit
from seaway_contracts.errors import internal
from seaway_contracts.images import RegistryAuth
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_syntax import syntax_error
from seaway_docker.references import parse_reference

_FALSE: Final = frozenset(("", "0", "no", "false", "none"))
_SECURITY: Final = "security options are not supported on linux"
_NUL: Final = "\0"
_NO_NUL: Final = "a build's parameters can't hold a NUL"
_MOST: Final = 2**63 - 1
_MOST_PATH: Final = 2048
_MOST_NAME: Final = 255
_ULIMITS: Final = frozenset(
    (
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
        "rtprio", "rttime", "sigpending", "stack",
    )
)  # fmt: skip


@dataclass(frozen=True)
class BuildRequest:
    """What a client asks. `network` is as it was given; `cache_from` are images whose nodes are preferred."""

    options: BuildOptions
    tags: tuple[str, ...]
    network: str
    pull: bool
    quiet: bool
    removes: bool
    platform: str
    cache_from: tuple[str, ...]
    build_id: str


def build_request(query: MultiMapping[str]) -> BuildRequest:
    """Raises InvalidParameter (400), and SeawayError (500) where dockerd does that."""
    if any(_NUL in value for value in query.values()):
        raise InvalidParameter(_NO_NUL)
    if query.getall("securityopt", []):
        raise InvalidParameter(_SECURITY)
    if query.get("isolation", "").lower() not in ("", "default"):
        raise InvalidParameter(f'unsupported isolation: "{query["isolation"][:64]}"')
    if _is_no_path(query.get("cgroupparent", "")):
        raise InvalidParameter("the cgroup parent is too long: no cgroup can have such a path")
    if query.get("outputs", "") not in ("", "[]", "null"):
        raise InvalidParameter("outputs other than an image need BuildKit: build with buildx")
    options = BuildOptions(
        dockerfile=query.get("dockerfile", "") or "Dockerfile",
        target=query.get("target", ""),
        args=_texts(query, "buildargs", "build args", nullable=True),
        labels={key: value or "" for key, value in _texts(query, "labels", "labels").items()},
        no_cache=flag(query, "nocache"),
        squash=flag(query, "squash"),
        extra_hosts=tuple(host for text in query.getall("extrahosts", []) for host in text.split(",") if host),
        resources=_resources(query),
        shm_size=_number(query, "shmsize"),
        remote=query.get("remote", ""),
        platform=query.get("platform", ""),
    )
    return BuildRequest(
        options=options,
        tags=_tags(query.getall("t", [])),
        network=query.get("networkmode", ""),
        pull=flag(query, "pull"),
        quiet=flag(query, "q"),
        removes=flag(query, "rm", default=True) or flag(query, "forcerm"),
        platform=query.get("platform", ""),
        cache_from=_cache_from(query),
        build_id=query.get("buildid", ""),
    )


def flag(query: MultiMapping[str], key: str, *, default: bool = False) -> bool:
    """A parameter as Docker reads booleans."""
    value = query.get(key)
    return default if value is None else value.strip().lower() not in _FALSE


def _is_no_path(text: str) -> bool:
    """Whether it is too long for a path, or a part of it for a name."""
    path = text.encode("utf-8", "surrogateescape")
    return len(path) > _MOST_PATH or any(len(part) > _MOST_NAME for part in path.split(b"/"))


def _number(query: MultiMapping[str], key: str) -> int:
    text = query.get(key, "")
    digits = text.removeprefix("-")
    if not text or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        if text and key == "shmsize":
            raise internal(f'strconv.ParseInt: parsing "{text[:64]}": invalid syntax')
        return 0
    return max(-_MOST, min(int(text), _MOST))


def _resources(query: MultiMapping[str]) -> Resources:
    memory, swap = _number(query, "memory"), _number(query, "memswap")
    return Resources(
        memory=memory,
        memory_swap=2 * memory if memory > 0 and swap == 0 else swap,
        cpu_shares=_number(query, "cpushares"),
        cpu_period=_number(query, "cpuperiod"),
        cpu_quota=_number(query, "cpuquota"),
        cpuset_cpus=query.get("cpusetcpus", ""),
        cpuset_mems=query.get("cpusetmems", ""),
        ulimits=_ulimits(query),
        cgroup_parent=query.get("cgroupparent", ""),
    )


def _ulimits(query: MultiMapping[str]) -> tuple[Ulimit, ...]:
    found = _json(query, "ulimits", "ulimit settings") or []
    try:
        limits = [Ulimit(name=str(one["Name"]), soft=int(one["Soft"]), hard=int(one["Hard"])) for one in found]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidParameter(f"error reading ulimit settings: {error}") from None
    for limit in limits:
        if limit.name not in _ULIMITS:
            raise InvalidParameter(f"invalid ulimit type: {limit.name[:64]}")
    return tuple(limits)


def _json(query: MultiMapping[str], key: str, what: str) -> Any:
    text = query.get(key, "")
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"error reading {what}: {syntax_error(text) or error}") from None


def _texts(query: MultiMapping[str], key: str, what: str, *, nullable: bool = False) -> dict[str, str | None]:
    found = _json(query, key, what)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidParameter(
            f"error reading {what}: json: cannot unmarshal {_kind(found)} into Go value of type map[string]string"
        )
    if any(_NUL in f"{key}{value}" for key, value in found.items()):
        raise InvalidParameter(_NO_NUL)
    for value in found.values():
        if not isinstance(value, str) and not (value is None and nullable):
            raise InvalidParameter(
                f"error reading {what}: json: cannot unmarshal {_kind(value)} into Go value of type string"
            )
    return found


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _cache_from(query: MultiMapping[str]) -> tuple[str, ...]:
    found = _json(query, "cachefrom", "cache-from")
    if found is None:
        return ()
    if not isinstance(found, list):
        raise InvalidParameter(
            f"error reading cache-from: json: cannot unmarshal {_kind(found)} into Go value of type []string"
        )
    for value in found:
        if not isinstance(value, str):
            raise InvalidParameter(
                f"error reading cache-from: json: cannot unmarshal {_kind(value)} into Go value of type string"
            )
    return tuple(found)


def _tags(texts: Sequence[str]) -> tuple[str, ...]:
    """The names with their tags, each once. Raises SeawayError (500, as dockerd)."""
    found: dict[str, None] = {}
    for text in texts:
        if not text:
            continue
        try:
            reference = parse_reference(text)
        except InvalidParameter as error:
            raise internal(str(error)) from None
        if reference.digest is not None:
            raise internal("build tag cannot contain a digest")
        found[reference.with_default_tag().familiar] = None
    return tuple(found)


def auth_of(configs: Mapping[str, RegistryAuth], domain: str) -> RegistryAuth | None:
    """The credentials for a registry, as `X-Registry-Config` names it: by its host, with or without a scheme."""
    names = {domain}
    if domain == "docker.io":
        names |= {"index.docker.io", "registry-1.docker.io", "index.docker.io/v1", "docker.io"}
    for key, auth in configs.items():
        host = key.partition("://")[2] or key
        if host.rstrip("/") in names or host.partition("/")[0] in names:
            return auth
    return None
