"""Network namespaces to try things in, and processes that hold them as a container's would."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from seaway_agent.network import netns

T = TypeVar("T")
Process = subprocess.Popen[bytes]
PATIENCE = 10.0


def call_in(fd: int, work: Callable[[], T]) -> T:
    """Run something in a namespace, in a thread made for it."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            netns.enter(fd)
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return future.result()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.005)


@dataclass
class Namespace:
    """A network namespace held by a descriptor, with the tools to look into it."""

    fd: int

    @classmethod
    def make(cls) -> "Namespace":
        home = netns.current()
        try:
            made = call_in(home, lambda: _new_namespace(home))
        finally:
            os.close(home)
        namespace = cls(made)
        namespace.run("ip", "link", "set", "lo", "up")
        return namespace

    def run(self, *command: str) -> str:
        prefix = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}", "--"]
        return subprocess.run([*prefix, *command], check=True, capture_output=True, text=True).stdout

    def links(self) -> set[str]:
        return {name for _, name in call_in(self.fd, socket.if_nameindex)}

    def own_links(self) -> set[str]:
        """The interfaces apart from loopback and what the kernel puts into each namespace by itself."""
        return {name for name in self.links() if name.startswith(("sw", "v", "br-", "dm", "dp"))}

    def table(self, suite: str) -> str:
        return self.run("nft", "list", "table", "ip", f"seaway_{suite}")

    def table6(self, suite: str) -> str:
        """The table of IPv6; empty if there is none."""
        name = f"seaway_{suite}"
        tables = self.run("nft", "list", "tables")
        return self.run("nft", "list", "table", "ip6", name) if f"ip6 {name}" in tables else ""

    def close(self) -> None:
        os.close(self.fd)


def _new_namespace(home: int) -> int:
    with netns.inside_new(home) as fd:
        return fd


def start_container(fd: int) -> Process:
    """A process that holds a sandbox as a container's would."""
    process = subprocess.Popen(
        ["nsenter", f"--net=/proc/{os.getpid()}/fd/{fd}", "--", "sleep", "600"],
        stdin=subprocess.DEVNULL,
    )
    wanted = os.fstat(fd).st_ino
    wait_until(lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino == wanted, "process in its sandbox")
    return process


def end(process: Process) -> None:
    process.kill()
    process.wait()
