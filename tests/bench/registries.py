"""How long pushes to an empty registry take, of an image from an archive and of a pulled one; and a list of images."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import measure
from client import Client
from e2e_rig import images
from e2e_rig.engine import Engine
from e2e_rig.registry import Registry
from e2e_rig.seaway import Seaway

TAGS = 1000
_LISTS = 100
_LIST = "/v1.45/images/json"  # what `docker images` of Docker 26 asks for
_LIMIT_S = 300.0
_BYTES = 100_000_000
_PLACES = ("/usr/lib", "/usr/sbin", "/usr/bin")
_LAYERS = 10
_AUTH = {"X-Registry-Auth": "e30="}
_SOURCE = "pushed:1"


def _programs() -> bytes:
    """Bytes as images have them: programs and libraries of this machine."""
    found = bytearray()
    for place in _PLACES:
        for path in sorted(Path(place).rglob("*")):
            if path.is_file() and not path.is_symlink():
                found += path.read_bytes()
            if len(found) >= _BYTES:
                return bytes(found[:_BYTES])
    return bytes(found)


def _archive(layers: int = 1) -> bytes:
    """An image with layers of 100 MB."""
    programs = _programs()
    made = [images.busybox_layer()]
    for _ in range(layers):
        layer = images.Layer()
        layer.file("programs", programs)
        layer.file("other", os.urandom(16))
        made.append(layer.bytes())
    return images.archive(made, {"Cmd": ["sh"]}, [_SOURCE])


def pushes(engines: Mapping[str, Engine], directory: Path, rounds: int) -> tuple[measure.Samples, measure.Samples]:
    """Seconds for a push of the image as it was loaded, and as it was pulled."""
    archive = _archive()
    loaded: measure.Samples = {name: [] for name in engines}
    pulled: measure.Samples = {name: [] for name in engines}
    for number in range(rounds):
        for name, engine in engines.items():
            first, second = [_registry(directory / f"{name}{number}{what}") for what in ("loaded", "pulled")]
            try:
                _asked(engine, "POST", "/images/load?quiet=1", archive)
                loaded[name].append(_push(engine, _SOURCE, f"{first.address}/bench:1"))
                _forget(engine)
                _asked(engine, "POST", f"/images/create?fromImage={first.address}/bench&tag=1")
                pulled[name].append(_push(engine, f"{first.address}/bench:1", f"{second.address}/bench:1"))
                _forget(engine)
            finally:
                first.stop()
                second.stop()
    return loaded, pulled


def memory(suite: Seaway, directory: Path) -> dict[str, float]:
    """The most memory (MB, resident) that the image service had while it pushed and pulled an image of 1 GB."""
    registry, pid = _registry(directory / "large"), suite.processes()["image"]
    name = f"{registry.address}/bench"
    try:
        _asked(suite, "POST", "/images/load?quiet=1", _archive(_LAYERS))
        pushed = _peak_mb(pid, lambda: _push(suite, _SOURCE, f"{name}:1"))
        _forget(suite)
        pulled = _peak_mb(pid, lambda: _asked(suite, "POST", f"/images/create?fromImage={name}&tag=1"))
        _forget(suite)
    finally:
        registry.stop()
    return {"push": pushed, "pull": pulled}


def _peak_mb(pid: int, work: Callable[[], object]) -> float:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins at what it has now
    work()
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _registry(directory: Path) -> Registry:
    directory.mkdir()
    return Registry.start(directory)


def _push(engine: Engine, source: str, target: str) -> float:
    repository, _, tag = target.rpartition(":")
    _asked(engine, "POST", f"/images/{source}/tag?repo={repository}&tag={tag}")
    began = time.perf_counter()
    answer = _asked(engine, "POST", f"/images/{repository}/push?tag={tag}", headers=_AUTH)
    took = time.perf_counter() - began
    if b'"aux"' not in answer:
        raise AssertionError(f"the push of {target} failed: {answer[-500:]!r}")
    return took


def _asked(
    engine: Engine, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    kind = {"Content-Type": "application/x-tar"} if body is not None else {}
    reply = engine.api.request(method, path, body, kind | dict(headers or {}), timeout=_LIMIT_S)
    assert reply.status < 300 and b'"errorDetail"' not in reply.body, reply
    return reply.body


def _forget(engine: Engine) -> None:
    """All images but the one that the other parts use."""
    for row in engine.api.get("/images/json"):
        if measure.IMAGE not in (row["RepoTags"] or []):
            _asked(engine, "DELETE", f"/images/{row['Id']}?force=1")


async def listing(clients: Mapping[str, Client]) -> measure.Samples:
    """Milliseconds for a list of images with many tags."""
    found: measure.Samples = {name: [] for name in clients}
    for client in clients.values():
        for number in range(TAGS):
            await client.request("POST", f"/images/{measure.IMAGE}/tag?repo=many&tag={number}")
    for _ in range(_LISTS):
        for name, client in clients.items():
            began = time.perf_counter()
            await client.request("GET", _LIST)
            found[name].append((time.perf_counter() - began) * 1e3)
    for client in clients.values():
        for number in range(TAGS):
            await client.request("DELETE", f"/images/many:{number}")
    return found
