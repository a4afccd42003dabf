"""A build of an image that may break off, and what none may leave on its node."""

import http.client
import json
from pathlib import Path

from e2e_rig.classic_builds import TAR, tar

from chaos_rig.suite import ChaosSuite

_CGROUPS = Path("/sys/fs/cgroup")


def context(script: str) -> bytes:
    """A Dockerfile that copies a file of its own, and runs a script."""
    return tar({"Dockerfile": f"FROM busybox\nCOPY f /f\nRUN {script}\nCMD cat /f\n", "f": script})


def attempt(suite: ChaosSuite, script: str, tag: str) -> str:
    """Build it; empty where that went well, else why not."""
    try:
        reply = suite.api.request("POST", f"/build?t={tag}", context(script), TAR, timeout=60)
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    if reply.status != 200 or b"Successfully tagged" not in reply.body:
        return f"{reply.status} {reply.body[-500:].decode(errors='replace')}"
    return ""


def left(suite: ChaosSuite) -> list[str]:
    """What there is of builds beyond their cache: directories, cgroups, working containers, mounts."""
    place = suite.root / "agent" / suite.node / "builds"
    found = [str(path) for path in (place / "w").glob("*")]
    found += [str(path) for path in _CGROUPS.glob(f"**/seaway/{suite.token}.builds/*") if path.is_dir()]
    containers = place / "store" / "overlay-containers"
    for name in ("containers.json", "volatile-containers.json"):
        if (containers / name).exists():
            found += [str(one["id"]) for one in json.loads((containers / name).read_text() or "[]")]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return found + [line for line in mounts if str(place) in line]
