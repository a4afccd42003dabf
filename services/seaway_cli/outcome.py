"""What `seaway up` says at the end of a start, good or bad; and what commands say, as JSON."""

import contextlib
import json
from collections.abc import Iterable

from seaway_cli.layout import RUN, Layout
from seaway_kit.logs import as_text


def summary(layout: Layout, hosts: Iterable[str], took_s: float, metrics: str = "", registry: str = "") -> str:
    """What a user wants to know when the suite has come up. `metrics`: where the API's are."""
    ask = "seaway status" if layout.run == RUN else f"seaway status --run {layout.run}"
    targets = f"{metrics.removesuffix('/metrics')}/sd (Prometheus' http_sd), " if metrics else ""
    return "\n".join(
        (
            f"Seaway is ready ({took_s:.1f} s).",
            f"  endpoint  {' '.join(hosts)}",
            *([f"  registry  {registry}"] if registry else []),
            f"  logs      {layout.logs}/",
            f"  metrics   {targets}one address per service: {ask}",
        )
    )


def ready_document(layout: Layout, hosts: Iterable[str], took_s: float, metrics: str = "", registry: str = "") -> str:
    """The same as JSON."""
    places = {"root": str(layout.root), "run": str(layout.run), "logs": str(layout.logs)}
    found = {"endpoints": list(hosts), **places, "metrics": metrics, "registry": registry}
    return json.dumps(found | {"seconds": round(took_s, 3)})


def failure(layout: Layout, services: Iterable[str], reason: str, lines: int = 15) -> str:
    """Why the suite did not come up, with the end of the logs of those at fault."""
    parts = [f"Seaway did not start: {reason}."]
    for service in services:
        path = layout.log(service)
        with contextlib.suppress(OSError):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"The last lines of {path}:")
            parts += [f"  {line}" for entry in tail for line in as_text(entry).splitlines()]
    return "\n".join(parts)


def as_json(text: str, **fields: object) -> str:
    """Text for users as JSON, with more fields. `commands`: what it says to type, which is indented."""
    lines = text.splitlines()
    commands = [line.strip() for line in lines if line.startswith("  ")]
    return json.dumps({**fields, "text": " ".join(line for line in lines if line[:2] != "  "), "commands": commands})
