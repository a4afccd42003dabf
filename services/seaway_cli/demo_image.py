"""A small image made from the machine's static busybox, without any registry: a `docker load` archive."""

import hashlib
import io
import json
import platform
import struct
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from seaway_cli.errors import CliError

NAME: Final = "busybox:latest"
BUSYBOX: Final = (Path("/bin/busybox"), Path("/usr/bin/busybox"))
_PT_INTERP: Final = 3
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}
_DIRECTORIES: Final = ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "usr/bin", "var")
_FILES: Final = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\n",
    "etc/hostname": "",
    "etc/hosts": "",
    "etc/resolv.conf": "",
}


def find_busybox(candidates: Iterable[Path] = BUSYBOX) -> Path:
    """A statically linked busybox; raises CliError if there is none."""
    for path in candidates:
        if path.is_file() and is_static(path.read_bytes()):
            return path
    raise CliError("there is no static busybox: install the Debian package busybox-static")


def is_static(program: bytes) -> bool:
    """Whether an ELF file (64 bits, little endian) asks for no dynamic linker (elf(5): no PT_INTERP)."""
    if program[:6] != b"\x7fELF\x02\x01":
        return False
    (start,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = (struct.unpack_from("<I", program, start + index * size)[0] for index in range(count))
    return _PT_INTERP not in kinds


def applets(busybox: Path) -> list[str]:
    """The commands that this busybox can be."""
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=10)
    return sorted(set(listed.stdout.split()) - {"busybox"})


def archive(program: bytes, commands: Iterable[str], name: str = NAME) -> bytes:
    """The archive (Docker image specification v1.2) of one layer; the same input gives the same bytes."""
    layer = _layer(program, commands)
    config = json.dumps(_config(hashlib.sha256(layer).hexdigest())).encode()
    image_id = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{image_id}.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member, data in (
            ("layer.tar", layer),
            (f"{image_id}.json", config),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            _add_file(tar, member, data)
    return out.getvalue()


def _config(diff_id: str) -> dict[str, object]:
    machine = platform.machine()
    return {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "seaway demo image"}],
    }


def _layer(program: bytes, commands: Iterable[str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in _DIRECTORIES:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
            tar.addfile(entry)
        _add_file(tar, "bin/busybox", program, 0o755)
        for command in commands:
            link = tarfile.TarInfo(f"bin/{command}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
            tar.addfile(link)
        for path, text in _FILES.items():
            _add_file(tar, path, text.encode())
    return out.getvalue()


def _add_file(tar: tarfile.TarFile, path: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
