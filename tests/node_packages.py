"""Programs for node in tests/node, and the packages that they need, which `./dev test` fetches."""

import os
import shutil
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).parent / "node"
PACKAGES: Final = Path(os.environ.get("SEAWAY_NODE_PACKAGES", "/var/cache/seaway-node"))


def has(package: str) -> bool:
    """Whether node is there, and the package."""
    return shutil.which("node") is not None and (PACKAGES / "node_modules" / package).is_dir()


def environment() -> dict[str, str]:
    """In which node finds the packages."""
    return os.environ | {"NODE_PATH": str(PACKAGES / "node_modules")}
