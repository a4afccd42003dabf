"""The network's share of a census: links, addresses and nftables of the caller's namespace, namespaces held."""

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_VETH = re.compile(r"^(veth|v[0-9a-z]{6})[0-9a-f]{7,8}$")
_TOKEN = re.compile(r"[0-9a-f]{6,}")


def links() -> Counter[str]:
    """By kind of name."""
    return Counter(_kind(link["ifname"]) for link in _json("ip", "-json", "link"))


def addresses() -> Counter[str]:
    """By kind of link and family."""
    return Counter(
        f"{_kind(link['ifname'])} {address['family']}"
        for link in _json("ip", "-json", "address")
        for address in link["addr_info"]
    )


def filters() -> Counter[str]:
    """Tables, chains, rules, sets and their elements."""
    found: Counter[str] = Counter()
    for entry in json.loads(_run("nft", "-j", "list", "ruleset"))["nftables"]:
        for kind, body in entry.items():
            if kind == "metainfo":
                continue
            name = body.get("table", "") + "/" + str(body.get("chain") or body["name"])
            found[_TOKEN.sub("ID", f"{kind} {name}")] += 1
            if elements := body.get("elem"):
                found[_TOKEN.sub("ID", f"element {name}")] += len(elements)
    return found


def namespaces(pids: Iterable[int]) -> Counter[str]:
    """Network namespaces that these processes live in or hold open."""
    found = set()
    for pid in pids:
        for path in (Path(f"/proc/{pid}/ns/net"), *_listed(Path(f"/proc/{pid}/fd"))):
            try:
                target = os.readlink(path)
            except OSError:
                continue
            if target.startswith("net:["):
                found.add(target)
    return Counter(netns=len(found))


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _kind(link: str) -> str:
    return _VETH.sub(r"\1*", link)


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _json(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_run(*words))
    return found
