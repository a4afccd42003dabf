"""Chain ids: what identifies a layer on top of all those below it (OCI image spec, config.md). Pure."""

import hashlib
from collections.abc import Iterable


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The chain id of each layer; both lists have the bottom layer first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return chain
