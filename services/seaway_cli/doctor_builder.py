"""`seaway doctor`: what builds images by BuildKit, as the API tells it."""

import http.client
import json
import socket
from typing import Final

from seaway_cli.doctor_finding import Finding, note, ok

_ANSWER_S: Final = 5.0
_UNIX: Final = "unix://"
_WHAT: Final = "buildkit"
NONE: Final = "none"


def builder(host: str) -> Finding | None:
    """The builder of the API at `unix://PATH`; None where that can't be known there."""
    if not host.startswith(_UNIX):
        return None
    try:
        rows = _info(host.removeprefix(_UNIX))
    except (OSError, ValueError, http.client.HTTPException):
        return None  # another check says that the API is silent
    place = rows.get("BuildKit", "")
    return finding(place) if place else None


def finding(place: str) -> Finding:
    """What `docker info` says of the builder, judged."""
    if place == NONE:
        todo = "seaway up without --buildkit none, or DOCKER_BUILDKIT=0 docker build"
        return note(_WHAT, "there is none, so that docker build by buildx fails", todo)
    if place.startswith(_UNIX) and (trouble := _closed(place.removeprefix(_UNIX))):
        return note(_WHAT, f"{place} does not answer ({trouble})", "start buildkitd there")
    return ok(_WHAT, place)


def _closed(path: str) -> str:
    """Why nobody can be reached at that socket; empty if somebody can."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_S)
            connection.connect(path)
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    return ""


def _info(path: str) -> dict[str, str]:
    connection = http.client.HTTPConnection("doctor", timeout=_ANSWER_S)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(_ANSWER_S)
        connection.sock.connect(path)
        connection.request("GET", "/info")
        return dict(json.loads(connection.getresponse().read())["DriverStatus"])
    except (KeyError, TypeError) as error:
        raise ValueError("no answer to /info") from error
    finally:
        connection.close()
