"""All else that users ask for, so that each step of each command is passed now and then.

What becomes of it is not looked at, only that it leaves nothing.
"""

import http.client
import itertools
import threading
from collections.abc import Callable

from e2e_rig import images
from e2e_rig.registry import Registry

from chaos_rig.client import Client
from chaos_rig.suite import ChaosSuite

_LOOP = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
_numbers = itertools.count()


class Chores:
    """One client, round and round."""

    def __init__(self, suite: ChaosSuite, registry: Registry) -> None:
        self._suite = suite
        self._client = Client(suite.api, 60)
        self._source = f"{registry.address}/lib/busybox"
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.rounds = 0

    def __enter__(self) -> "Chores":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        for chore in itertools.cycle((self._pull, self._commands, self._exec, self._refused, self._unpack)):
            if self._enough.is_set():
                return
            self._try(chore)
            self.rounds += 1

    def _try(self, chore: Callable[[], None]) -> None:
        try:
            chore()
        except (OSError, AssertionError, KeyError, http.client.HTTPException):
            return

    def _ask(self, method: str, path: str, body: object = None) -> None:
        self._suite.api.request(method, path, body)

    def _pull(self) -> None:
        self._ask("DELETE", f"/images/{self._source}:1?force=1")
        self._ask("POST", f"/images/create?fromImage={self._source}&tag=1")

    def _commands(self) -> None:
        name = f"chore-{next(_numbers)}"
        container = self._client.create(name, _LOOP, Memory=64 << 20)
        try:
            for words in ("start", "pause", "unpause", "kill?signal=USR2", f"rename?name={name}-new", "restart?t=5"):
                self._try(lambda words=words: self._ask("POST", f"/containers/{container}/{words}"))  # type: ignore[misc]
            limits = {"Memory": 96 << 20, "MemorySwap": 192 << 20}
            self._try(lambda: self._ask("POST", f"/containers/{container}/update", limits))
            self._try(lambda: self._commit(container, name))
            self._try(lambda: self._ask("POST", f"/containers/{container}/stop?t=5"))
        finally:
            self._client.remove(container)

    def _commit(self, container: str, name: str) -> None:
        try:
            self._ask("POST", f"/commit?container={container}&repo={name}&tag=1", {})
        finally:
            self._client.steadily("DELETE", f"/images/{name}:1?force=1")

    def _exec(self) -> None:
        container = self._client.create(f"chore-{next(_numbers)}", _LOOP)
        try:
            self._client.start(container)
            for _ in range(4):
                self._try(lambda: self._run_exec(container))
        finally:
            self._client.remove(container)

    def _run_exec(self, container: str) -> None:
        made = self._suite.api.request("POST", f"/containers/{container}/exec", {"Cmd": ["true"]})
        self._ask("POST", f"/exec/{made.json()['Id']}/start", {"Detach": True})

    def _unpack(self) -> None:
        """A layer that no node has seen."""
        name = f"chore-{next(_numbers)}"
        layer = images.Layer()
        layer.file("new", name.encode())
        archive = images.archive([images.busybox_layer(), layer.bytes()], {}, [f"{name}:1"])
        try:
            self._suite.api.request("POST", "/images/load", archive, {"Content-Type": "application/x-tar"})
            self._client.remove(self._client.make(name, {"Image": f"{name}:1", "Cmd": ["true"]}))
        finally:
            self._client.steadily("DELETE", f"/images/{name}:1?force=1")

    def _refused(self) -> None:
        mounts = [{"Type": "bind", "Source": "/is/not/there", "Target": "/x"}]
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Mounts": mounts}}
        self._ask("POST", f"/containers/create?name=chore-{next(_numbers)}", body)
