"""A runtime that loads no seccomp filter, and is otherwise a real one."""

import sys
from pathlib import Path

_SCRIPT = """
import json, os, sys
real, *words = sys.argv[1:]
if "create" in words:
    path = os.path.join(words[words.index("--bundle") + 1], "config.json")
    with open(path) as file:
        config = json.load(file)
    config["linux"].pop("seccomp", None)
    config["annotations"].pop("run.oci.seccomp_bpf_data", None)
    with open(path, "w") as file:
        json.dump(config, file)
os.execv(real, [real, *words])
"""


def unfiltered(directory: Path, real: str) -> Path:
    """The runtime's path, by its own name in that directory."""
    (code := directory / "unfiltered.py").write_text(_SCRIPT)
    path = directory / Path(real).name
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {code} {real} "$@"\n')
    path.chmod(0o755)
    return path
