"""Reads those options of `docker run` that play a part in placement. Pure.

What `docker run` refuses is refused here too, with a CliError; what it would do besides is not looked at.
"""

import csv
import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from seaway_cli.errors import usage
from seaway_contracts.containers import DeviceRequest
from seaway_docker.errors import InvalidParameter
from seaway_docker.log_options import parse_size
from seaway_docker.placement import parse_cpus
from seaway_docker.ports import parse_port_range

_LABEL: Final = re.compile(r"[^=]+(=.*)?", re.DOTALL)


def memory(option: str, text: str) -> int:
    """Bytes of a size such as `512m`."""
    try:
        return parse_size(text, 1024)
    except ValueError:
        raise usage(f"{option} {text!r} is no size: write bytes, or 512k, 512m, 2g") from None


def cpus(option: str, text: str) -> int:
    """Billionths of a core of a number such as `1.5`."""
    try:
        return parse_cpus(text)
    except ValueError as error:
        raise usage(f"{option} {error}") from None


def labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels of `KEY=VALUE` or `KEY`; the last of a key counts."""
    for text in texts:
        if not _LABEL.fullmatch(text):
            raise usage(f"--label {text!r} is no label: write KEY=VALUE or KEY")
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def host_ports(text: str) -> tuple[int, ...]:
    """The host ports that `--publish` must have: none where any will do. `[[IP:]HOST:]CONTAINER[/PROTOCOL]`."""
    trouble = usage(f"--publish {text!r} is no port: write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in 8080:80")
    address, colon, inner = text.partition("/")[0].rpartition(":")
    ip, _, outer = address.rpartition(":")
    try:
        if ip:
            ipaddress.ip_address(ip.strip("[]"))
        first, last = parse_port_range(inner)
        if not colon or not outer:
            return ()
        first_outer, last_outer = parse_port_range(outer)
    except (InvalidParameter, ValueError):
        raise trouble from None
    if last_outer - first_outer == last - first:
        return tuple(port for port in range(first_outer, last_outer + 1) if port)
    if first != last:
        raise trouble
    return ()


def volume(text: str) -> str:
    """The name of the volume that `--volume` mounts; empty for a bind or an anonymous volume."""
    source, colon, target = text.partition(":")
    return source if colon and target and not source.startswith(("/", "~", ".")) else ""


def mounted_volume(text: str) -> str:
    """The name of the volume that `--mount` mounts; empty for anything else."""
    fields = _fields(text)
    if fields.get("type", "volume") != "volume":
        return ""
    return fields.get("source", fields.get("src", ""))


def network(text: str) -> str:
    """The name of the network, which may stand in `name=NAME,alias=…`."""
    return _fields(text).get("name", text) if "=" in text else text


def gpus(text: str) -> DeviceRequest:
    """The devices of `--gpus`: `all`, a number, `device=0,1` or `count=2,capabilities=…`."""
    fields = {"count": text} if "=" not in text else _fields(text)
    ids = tuple(one for one in fields.get("device", "").split(",") if one)
    count = fields.get("count", "0" if ids else "1")
    if count != "all" and not re.fullmatch(r"-1|[0-9]{1,6}", count):
        raise usage(f"--gpus {text!r}: write all, a number, or device=ID")
    return DeviceRequest(count=-1 if count == "all" else int(count), ids=ids, capabilities=(("gpu",),))


def _fields(text: str) -> dict[str, str]:
    """`a=1,b=2`, with quotes around a field that has commas."""
    return {key.lower(): value for key, _, value in (one.partition("=") for one in next(csv.reader([text]), []))}
