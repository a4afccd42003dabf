"""Images for the tests, made from the machine's static busybox: no registry and no compiler is needed."""

import hashlib
import io
import json
import shutil
import stat
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CREATED = "2024-05-06T07:08:09Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\nnogroup:x:65534:\n"


@dataclass
class Layer:
    """A layer's tar in the making."""

    _buffer: io.BytesIO = field(default_factory=io.BytesIO)
    _tar: tarfile.TarFile = field(init=False)

    def __post_init__(self) -> None:
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    def directory(self, name: str, mode: int = 0o755, uid: int = 0) -> None:
        """A directory, owned by `uid`."""
        self._add(name, mode, tarfile.DIRTYPE, uid=uid)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """A plain file of root's."""
        self._add(name, mode, tarfile.REGTYPE, data)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._add(name, 0o777, tarfile.SYMTYPE, target=target)

    def fifo(self, name: str) -> None:
        """A named pipe."""
        self._add(name, 0o644, tarfile.FIFOTYPE)

    def _add(self, name: str, mode: int, kind: bytes, data: bytes = b"", uid: int = 0, target: str = "") -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.linkname = kind, mode, uid, uid, target
        info.size, info.mtime = len(data), 1_700_000_000
        self._tar.addfile(info, io.BytesIO(data))

    def bytes(self) -> bytes:
        """The finished tar."""
        self._tar.close()
        return self._buffer.getvalue()


def busybox_layer() -> bytes:
    """A root filesystem with busybox and its commands, users, and files that can't be run."""
    program = Path(shutil.which("busybox") or "/bin/busybox").resolve()
    layer = Layer()
    for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", stat.S_ISVTX | 0o777), ("var", 0o755)):
        layer.directory(name, mode)
    layer.directory("home")
    layer.directory("home/app", 0o755, uid=1000)
    layer.file("bin/busybox", program.read_bytes(), 0o755)
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            layer.link(f"bin/{name}", "busybox")
    layer.file("etc/passwd", _PASSWD.encode())
    layer.file("etc/group", _GROUP.encode())
    layer.file("etc/data", b"not a program\n", 0o644)
    return layer.bytes()


def archive(layers: list[bytes], config: dict[str, Any], tags: list[str], system: str = "linux") -> bytes:
    """A docker-archive (`docker save`'s format) with one image, for that operating system."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    document = json.dumps(
        {
            "architecture": "amd64",
            "os": system,
            "created": _CREATED,
            "config": {"Env": [_PATH]} | config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": _CREATED, "created_by": f"layer {n}"} for n, _ in enumerate(layers)],
        }
    ).encode()
    name = f"{hashlib.sha256(document).hexdigest()}.json"
    paths = [f"{digest}/layer.tar" for digest in digests]
    manifest = [{"Config": name, "RepoTags": tags, "Layers": paths}]
    outer = Layer()
    outer.file(name, document)
    for path, layer in zip(paths, layers, strict=True):
        outer.file(path, layer)
    outer.file("manifest.json", json.dumps(manifest).encode())
    return outer.bytes()


def busybox_archive(tag: str = "busybox:latest") -> bytes:
    """The plain image that most tests run."""
    return archive([busybox_layer()], {"Cmd": ["sh"]}, [tag])


def dressed_archive(tag: str) -> bytes:
    """Two layers (the upper one whites out /etc/data) and a config that sets all that a config can."""
    upper = Layer()
    upper.directory("srv")
    upper.directory("srv/seed")
    upper.file("srv/seed/file", b"from the image\n")
    upper.directory("etc")
    upper.file("etc/.wh.data", b"")
    config = {
        "Cmd": ["one", "two"],
        "Entrypoint": ["echo", "dressed"],
        "Env": [_PATH, "COLOUR=green"],
        "WorkingDir": "/srv/work",
        "User": "app",
        "Labels": {"maker": "rig", "tier": "image"},
        "ExposedPorts": {"8080/tcp": {}},
        "Volumes": {"/srv/seed": {}},
        "StopSignal": "SIGUSR1",
    }
    return archive([busybox_layer(), upper.bytes()], config, [tag])
