"""`seaway doctor`: other firewalls, and another Docker, on this machine."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from seaway_cli.doctor_finding import Finding, note, ok

_OURS: Final = "seaway_"
_ASK_S: Final = 10.0
_SOCKETS: Final = ("run/docker.sock", "var/run/docker.sock")


def other_firewalls(top: Path) -> Iterator[Finding]:
    """Those that may drop what containers send, or what nodes say to each other."""
    found = list(_by_their_files(top))
    if os.geteuid() == 0 and top == Path("/"):
        found += dropping(_chains())
    yield from found or [ok("firewall", "no other firewall is in the way")]


def _by_their_files(top: Path) -> Iterator[Finding]:
    try:
        ufw = (top / "etc/ufw/ufw.conf").read_text()
    except OSError:
        ufw = ""
    if re.search(r"^ENABLED=yes", ufw, re.MULTILINE | re.IGNORECASE):
        todo = "let containers through: set DEFAULT_FORWARD_POLICY=ACCEPT in /etc/default/ufw, then ufw reload"
        yield note("firewall", "ufw is on, and drops what it forwards by default", todo)


def _chains() -> Mapping[str, Any]:
    """All chains, as nft shows them; none where that can't be asked."""
    if shutil.which("nft") is None:
        return {}
    try:
        done = subprocess.run(["nft", "-j", "list", "chains"], capture_output=True, timeout=_ASK_S, check=False)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return found if isinstance(found, dict) else {}


def dropping(listing: Mapping[str, Any]) -> list[Finding]:
    """Of chains of other programs that see forwarded packets, those that drop by default, and firewalld's. Pure."""
    chains = [one["chain"] for one in listing.get("nftables", ()) if "chain" in one]
    others = [one for one in chains if one.get("hook") == "forward" and not one["table"].startswith(_OURS)]
    found = []
    for chain in others:
        where = f"{chain['family']} {chain['table']} {chain['name']}"
        if chain["table"] == "firewalld":
            todo = "put the bridges of networks into its zone trusted: firewall-cmd --zone=trusted --add-interface=NAME"
            found.append(note("firewall", "firewalld is on, and rejects what no zone allows", todo))
        elif chain.get("policy") == "drop":
            todo = "accept the bridges of networks there: `docker info` shows the commands (docs/networks.md)"
            found.append(note("firewall", f"the chain {where} drops what no rule accepts, also of containers", todo))
    return list(dict.fromkeys(found))


def other_docker(top: Path) -> Iterator[Finding]:
    """Whether dockerd runs here, too."""
    try:
        pid = int((top / "run/docker.pid").read_text())
        name = (top / f"proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return
    if name == "dockerd":
        socket = next((f"/{path}" for path in _SOCKETS if (top / path).exists()), "its socket")
        text = f"dockerd runs beside (pid {pid}); without DOCKER_HOST, docker asks it at {socket}"
        todo = "export DOCKER_HOST as `seaway status` shows the endpoint; docs/networks.md says what both share"
        yield note("docker daemon", text, todo)
