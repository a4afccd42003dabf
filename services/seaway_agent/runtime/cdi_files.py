"""The node's CDI files."""

import logging
from pathlib import Path
from typing import Any, Final

import orjson

log = logging.getLogger(__name__)
CDI_DIRECTORIES: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))


def cdi_specs(directories: tuple[Path, ...] = CDI_DIRECTORIES) -> list[dict[str, Any]]:
    """The node's CDI files; a later directory's go before an earlier one's. What can't be read is logged."""
    found = []
    for directory in reversed(directories):
        for path in sorted((*directory.glob("*.json"), *directory.glob("*.yaml"))):
            try:
                body = _document(path)
            except (OSError, ValueError) as error:
                log.warning("the CDI file %s can't be read: %s", path, error)
                continue
            if isinstance(body, dict):
                found.append(body)
    return found


def _document(path: Path) -> object:
    """What a file says. Raises OSError, ValueError."""
    if path.suffix == ".json":
        return orjson.loads(path.read_bytes())
    import yaml  # only here: few nodes have such a file

    try:
        return yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
