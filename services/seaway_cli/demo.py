"""The last step of `./dev up`: a first image and a first container, over the API as any client would."""

import argparse
import http.client
import json
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from seaway_cli import commands, demo_image
from seaway_cli.errors import CliError
from seaway_cli.layout import RUN
from seaway_docker.stdcopy import Decoder

_TIMEOUT_S: Final = 60.0
_WORDS: Final = ["echo", "Hello from a container."]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)


class Api:
    """As much of a Docker client as a first container needs. Raises CliError where the API refuses."""

    def __init__(self, host: str) -> None:
        self._host = urlsplit(host)

    def _connection(self) -> http.client.HTTPConnection:
        if self._host.scheme == "unix":
            return _UnixConnection(self._host.path)
        return http.client.HTTPConnection(self._host.netloc, timeout=_TIMEOUT_S)

    def request(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, bytes]:
        """One request; status and body of the answer."""
        connection = self._connection()
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise CliError(f"{method} {path} at {self._host.geturl()} failed: {error}") from None
        finally:
            connection.close()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request whose answer is JSON, or nothing."""
        status, data = self.request(method, path, b"" if body is None else json.dumps(body).encode())
        if status >= 400:
            raise CliError(f"{method} {path}: {_message(data)} (status {status})")
        return json.loads(data) if data else None


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace").strip()


def ensure_image(api: Api) -> bool:
    """Load the demo image unless there is one of that name; whether it was loaded."""
    status, _ = api.request("GET", f"/images/{quote(demo_image.NAME)}/json")
    if status == 200:
        return False
    busybox = demo_image.find_busybox()
    data = demo_image.archive(busybox.read_bytes(), demo_image.applets(busybox))
    status, answer = api.request("POST", "/images/load?quiet=1", data, "application/x-tar")
    if status != 200:
        raise CliError(f"loading the image failed: {_message(answer)} (status {status})")
    return True


def run_container(api: Api, words: Sequence[str]) -> tuple[int, str]:
    """Run `words` in a container and remove it; exit code and output."""
    container = api.call("POST", "/containers/create", {"Image": demo_image.NAME, "Cmd": list(words)})["Id"]
    try:
        api.call("POST", f"/containers/{container}/start")
        code = int(api.call("POST", f"/containers/{container}/wait")["StatusCode"])
        _, output = api.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")
    finally:
        api.call("DELETE", f"/containers/{container}?force=1")
    said = b"".join(piece for _, piece in Decoder().feed(output))
    return code, said.decode(errors="replace")


def show(run: Path) -> None:
    """Run a first container in the suite at `run`, and print what was done and what can be tried next."""
    suite = commands.status(run)
    host = plain_host(suite)
    if host is None:
        print("\n".join(_by_certificate(suite["hosts"][0])))
        return
    api = Api(host)
    started = time.monotonic()
    if ensure_image(api):
        print(f"Loaded {demo_image.NAME}, made from this machine's busybox ({time.monotonic() - started:.2f} s).")
    started = time.monotonic()
    code, output = run_container(api, _WORDS)
    if code != 0:
        raise CliError(f"the first container ended with exit code {code}: {output.strip()}")
    print(f"Ran a container ({time.monotonic() - started:.2f} s); it said: {output.strip()}")
    print("\n".join(_next_steps(suite, host)))


def plain_host(suite: dict[str, Any]) -> str | None:
    """An endpoint that can be used without a certificate: a unix socket if there is one. None where all want TLS."""
    sockets = [host for host in suite["hosts"] if host.startswith("unix:")]
    others = [] if suite["tls"] else suite["hosts"]
    return next(iter((*sockets, *others)), None)


def _by_certificate(host: str) -> list[str]:
    return [
        "",
        "The API is reached by TLS only, so no first container was run. Try, with a client's certificate:",
        f"  docker --tlsverify --tlscacert ca.pem --tlscert cert.pem --tlskey key.pem -H {host} info",
    ]


def _next_steps(suite: dict[str, Any], host: str) -> list[str]:
    agent = next((row["metrics"] for row in suite["services"] if row["service"] == "agent"), "")
    needs = "" if shutil.which("docker") else "   # needs the docker command (Debian: docker-cli)"
    return [
        "",
        "Try next:",
        f"  export DOCKER_HOST={host}",
        f"  docker run --rm {demo_image.NAME.removesuffix(':latest')} echo hello{needs}",
        f"  curl -s {agent}   # the node's metrics; `seaway status` has all addresses",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; the exit code."""
    parser = argparse.ArgumentParser(prog="seaway-demo", description="Run a first container in a running suite.")
    parser.add_argument("--run", type=Path, default=RUN, help="the suite's run directory")
    try:
        show(parser.parse_args(argv).run.absolute())
    except CliError as error:
        print(f"seaway: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
