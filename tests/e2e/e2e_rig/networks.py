"""Networks of users: made by the CLI, and seen from inside of their containers."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

from e2e_rig.docker_cli import DockerCli
from e2e_rig.world import entered

SLEEP = ("busybox", "sleep", "600")
NOWHERE = "127.0.0.1"
"""A nameserver that is not there: names that the engine doesn't know are refused at once."""
_LOOK_UP = 'for name in "$@"; do echo "? $name"; nslookup "$name"; done 2>/dev/null; true'


def made(cli: DockerCli, network: str, *options: str) -> str:
    """The name of a new network."""
    cli("network", "create", *options, network)
    return network


def run_in(cli: DockerCli, network: str, name: str, *words: str, dns: str = NOWHERE) -> str:
    """The id of a new container in the network; `words` are options, image and command."""
    return cli("run", "-d", "--network", network, "--name", name, "--dns", dns, *words).out


def address(cli: DockerCli, container: str, network: str, family: str = "IPAddress") -> str:
    """A running container's address in a network; `family` can be `GlobalIPv6Address` too."""
    return cli("inspect", container, "--format", f'{{{{(index .NetworkSettings.Networks "{network}").{family}}}}}').out


def looked_up(cli: DockerCli, container: str, *names: str) -> dict[str, set[str]]:
    """What a program in the container finds by each name: addresses; or by an address: names."""
    found: dict[str, set[str]] = {}
    answers: set[str] = set()
    for line in cli("exec", container, "sh", "-c", _LOOK_UP, "sh", *names).lines:
        if line.startswith("? "):
            answers = found.setdefault(line[2:], set())
        elif line.startswith("Address: "):
            answers.add(line.removeprefix("Address: "))
        elif "name = " in line:
            answers.add(line.partition("name = ")[2])
    return found


def reaches(cli: DockerCli, container: str, url: str) -> bool:
    """Whether a program in the container gets an answer from an HTTP server."""
    return cli.try_("exec", container, "wget", "-T", "1", "-qO", "-", f"http://{url}/").code == 0


@contextlib.contextmanager
def within(cli: DockerCli, container: str) -> Iterator[None]:
    """In the running container's network, with the machine's programs."""
    with entered(int(cli("inspect", container, "--format", "{{.State.Pid}}").out)):
        yield


@contextlib.contextmanager
def telling(cli: DockerCli, container: str) -> Iterator[None]:
    """A server on port 80 of a running container's network, which answers with the address of its client."""
    with within(cli, container):
        server = _Server(("::", 80), _TellingClient)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


class _TellingClient(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].removeprefix("::ffff:").encode())

    def log_message(self, format: str, *args: object) -> None:
        pass
