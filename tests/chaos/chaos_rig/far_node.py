"""A second node, whose agent reaches the bus through a link that can be frozen and cut."""

import contextlib
import os
import selectors
import signal
import socket
import threading
from pathlib import Path

from e2e_rig.engine import Daemon
from e2e_rig.seaway import COMMANDS, seaway

from chaos_rig.suite import ChaosSuite

_PIECE = 1 << 16


class Link:
    """A TCP proxy on loopback. Frozen, it passes nothing and says nothing; cut, it hangs up on everybody."""

    def __init__(self, port: int) -> None:
        self._there = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open = threading.Event()
        self._open.set()
        self._down = self._closed = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def freeze(self) -> None:
        """Nothing passes from now on; nobody is told."""
        self._open.clear()

    def cut(self) -> None:
        """Hang up, and on everybody who comes."""
        self._down = True
        self._open.set()

    def mend(self) -> None:
        """All passes again, also what was sent while the link was frozen."""
        self._down = False
        self._open.set()

    def close(self) -> None:
        """For good."""
        self._closed = True
        self.cut()
        self._thread.join(5)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._closed:
                self._open.wait()
                if self._down:
                    self._hang_up(selector)
                for key, _ in selector.select(0.05):
                    if self._open.is_set():
                        self._serve(selector, key)
            self._hang_up(selector)

    def _serve(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._listener:
            self._accept(selector)
            return
        source, target = key.fileobj, key.data
        assert isinstance(source, socket.socket)
        try:
            data = source.recv(_PIECE)
            if data:
                target.sendall(data)
                return
        except OSError:
            pass
        self._drop(selector, source, target)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        near, _ = self._listener.accept()
        try:
            if self._down:
                raise ConnectionRefusedError
            far = socket.create_connection(self._there, 2)
        except OSError:
            near.close()
            return
        self._pairs.append((near, far))
        selector.register(near, selectors.EVENT_READ, far)
        selector.register(far, selectors.EVENT_READ, near)

    def _drop(self, selector: selectors.BaseSelector, *both: socket.socket) -> None:
        for one in both:
            with contextlib.suppress(KeyError, ValueError):
                selector.unregister(one)
            one.close()
        self._pairs = [pair for pair in self._pairs if both[0] not in pair]

    def _hang_up(self, selector: selectors.BaseSelector) -> None:
        for pair in list(self._pairs):
            self._drop(selector, *pair)


class FarNode:
    """Node n2: an agent alone, with directories of its own, behind a link."""

    def __init__(self, suite: ChaosSuite, place: Path, name: str = "n2") -> None:
        self.name, self._place = name, place
        self.anchor = ""
        """A container there: one that takes its volumes is placed beside it."""
        suite.has_met_others = True
        self.link = Link(int(suite.nats_url.rpartition(":")[2]))
        words = [str(COMMANDS / "seaway-agent"), "--node", name, "--root", f"{place}/root", "--run", f"{place}/run"]
        words += ["--nats", f"nats://127.0.0.1:{self.link.port}", "--nats-user", f"agent.{name}"]
        words += ["--nats-password-file", f"{suite.root}/secrets/agent.{name}"]
        added = seaway("node", "add", name, "--root", str(suite.root), "--run", str(suite.run))
        assert added.returncode == 0, added.stderr
        self._daemon = daemon = Daemon(words, place / "agent.log", dict(os.environ))
        daemon.until(lambda: "is ready" in self.log(), "the second agent")

    def pause(self) -> None:
        """Its agent does nothing more; what is sent to it waits."""
        os.kill(self._daemon.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        os.kill(self._daemon.pid, signal.SIGCONT)

    def log(self) -> str:
        """What its agent has said."""
        return (self._place / "agent.log").read_text()

    def close(self) -> None:
        """Stop it, and remove what it made."""
        self.resume()
        self.link.mend()
        self._daemon.stop()
        self.link.close()
        done = seaway("purge", "--root", f"{self._place}/root", "--run", f"{self._place}/run")
        assert done.returncode == 0, done.stderr
