"""What people type: lines of docker commands (`scripts.txt`), and all that they print."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine

from differ.normal import AGO, SHORT_ID, Normal

_TEXT: Final = Path(__file__).with_name("scripts.txt").read_text()
_IMAGE_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SPACES: Final = re.compile(" +")
_LIMIT_S: Final = 60


def all_scripts() -> dict[str, str]:
    """By address, "cli/group" and the place in it."""
    return dict(_addressed())


def _addressed() -> Iterator[tuple[str, str]]:
    group, number = "", 0
    for line in _TEXT.splitlines():
        if line.startswith("# "):
            group, number = line.removeprefix("# "), 0
        else:
            number += 1
            yield f"cli/{group} {number}", line


def printed(engine: Engine, script: str) -> dict[str, Any]:
    """Run it in an empty directory; its exit code and what it said, normalised. Nothing that it made is left."""
    with tempfile.TemporaryDirectory(prefix="cli-") as place:
        config = Path(place, "config")
        config.mkdir()
        environment = DockerCli(engine.host, config).environment
        images = engine.api.images()
        words = ["sh", "-c", script]
        try:
            done = subprocess.run(
                words, env=environment, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S
            )
        finally:
            engine.api.remove_all()
            engine.api.remove_networks()
            engine.api.remove_volumes()
            engine.api.remove_images(images)
            if "build" in script:  # else the next one finds its steps
                engine.api.remove_build_cache()
    normal = Normal(str(engine.run.parent))
    normal.learn({"place": place})
    out, err = (equal(normal.text(text.decode(errors="replace"))) for text in (done.stdout, done.stderr))
    return {"code": done.returncode, "out": out, "err": err}


def equal(text: str) -> str:
    """What a command printed, without short ids, ages and widths of columns."""
    for pattern, name in ((_IMAGE_ID, "<image>"), (SHORT_ID, "<id:12>"), (AGO, "<ago>"), (_SPACES, " ")):
        text = pattern.sub(name, text)
    return text
