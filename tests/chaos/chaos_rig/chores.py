"""All else that users ask for, so that each step of each command is passed now and then.

What becomes of it is not looked at, only that it leaves nothing.
"""

import contextlib
import http.client
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator

from e2e_rig import images
from e2e_rig.registry import Registry

from chaos_rig.attached import Attached
from chaos_rig.building import attempt
from chaos_rig.client import PORT, Client
from chaos_rig.suite import ChaosSuite
from seaway_kit.failpoints import Failpoint

_LOOP = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
_numbers = itertools.count()


_NO_PROGRAM = "/no/such/program"
_BY: dict[str, tuple[str, ...]] = {
    "_networked": ("network.", Failpoint.TEARDOWN_PORTS),
    "_volumes": ("create.volume", "remove.volume"),
    "_undone": ("undo.",),
    "_not_started": (Failpoint.START_DISCONNECTED, Failpoint.START_FAILED),
    "_name_taken": (Failpoint.REGISTER_REFUSED,),
    "_name_left": (Failpoint.REGISTER_TAKEN_OVER,),
    "_refused": ("forget.",),
    "_commands": ("stop.", "pause.", "unpause.", "kill.", "restart.", "rename.", "update.", "commit."),
    "_exec_refused": (Failpoint.EXEC_FAILED, Failpoint.SUPERVISOR_REFUSED),
    "_exec": ("exec.", "supervisor."),
    "_unpack": ("unpack.",),
    "_pull": ("pull.",),
    "_built": ("build.", "push."),
    "_joined": ("join.", "admit.", "revoke."),
}
"""The chore by which a failpoint is passed; the others are passed in every life. The first one that fits counts."""


def _chore_of(point: Failpoint) -> str:
    return next((chore for chore, heads in _BY.items() if point.startswith(heads)), "")


class Chores:
    """One client, round and round; where somebody waits for a failpoint, with that by which it is passed."""

    def __init__(self, suite: ChaosSuite, registry: Registry) -> None:
        self._suite = suite
        self._client = Client(suite.api, 60)
        self._source = f"{registry.address}/lib/busybox"
        self._enough = threading.Event()
        self._wanted = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.rounds = 0

    def __enter__(self) -> "Chores":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    @contextlib.contextmanager
    def passing(self, point: Failpoint) -> Iterator[None]:
        """Do nothing else meanwhile."""
        self._wanted = _chore_of(point)
        try:
            yield
        finally:
            self._wanted = ""

    def _run(self) -> None:
        for chore in itertools.cycle(_BY):
            if self._enough.is_set():
                return
            self._try(getattr(self, self._wanted or chore))
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

    def _built(self) -> None:
        name = f"chore-{next(_numbers)}"
        try:
            attempt(self._suite, f"echo {name}", f"{name}:1")
        finally:
            self._client.steadily("DELETE", f"/images/{name}:1?force=1")

    def _joined(self) -> None:
        """Another machine becomes a node, and is removed."""
        suite, node = self._suite, f"chore-{next(_numbers)}"
        place = suite.root.parent / node
        here, there = ("--root", str(suite.root), "--run", str(suite.run)), ("--root", str(place), "--run", str(place))
        token = suite.seaway("token", "create", *here).stdout.partition("--token ")[2].split()[:1]
        try:
            for _ in range(2):  # it may die itself
                suite.seaway("join", suite.nats_url, "--token", *token, "--node", node, *there)
        finally:
            suite.seaway("node", "rm", node, *here)
            suite.seaway("purge", *there)

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
            for attached in (True, False, True, False):
                self._try(lambda attached=attached: self._run_exec(container, "true", attached=attached))  # type: ignore[misc]
        finally:
            self._client.remove(container)

    def _exec_refused(self) -> None:
        container = self._client.create(f"chore-{next(_numbers)}", _LOOP)
        try:
            self._client.start(container)
            self._try(lambda: self._run_exec(container, _NO_PROGRAM, attached=True))
            self._try(lambda: self._run_exec(container, _NO_PROGRAM, attached=False))
        finally:
            self._client.remove(container)

    def _run_exec(self, container: str, program: str, *, attached: bool) -> None:
        body = {"Cmd": [program], "AttachStdout": attached}
        path = f"/exec/{self._suite.api.request('POST', f'/containers/{container}/exec', body).json()['Id']}/start"
        if attached:
            Attached(self._suite.api, path).end()
        else:
            self._ask("POST", path, {"Detach": True})

    def _networked(self) -> None:
        host = {"NetworkMode": "bridge", "PortBindings": {PORT: [{"HostPort": ""}]}}
        container = self._client.create(f"chore-{next(_numbers)}", "exit 0", **host)
        try:
            self._client.start(container)
            self._client.wait(container)
        finally:
            self._client.remove(container)

    def _not_started(self) -> None:
        body = {"Image": "busybox", "Cmd": [_NO_PROGRAM], "HostConfig": {"NetworkMode": "bridge"}}
        container = self._client.make(f"chore-{next(_numbers)}", body)
        try:
            self._ask("POST", f"/containers/{container}/start")
        finally:
            self._client.remove(container)

    def _volumes(self) -> None:
        """One that is made and filled from the image, and one that is there, empty, and filled then."""
        name = f"chore-{next(_numbers)}"
        body = {"Image": "busybox", "Cmd": ["true"], "Volumes": {"/etc": {}}, "HostConfig": {"NetworkMode": "none"}}
        self._client.remove(self._client.make(name, body))
        try:
            for number, target in enumerate(("/nothing", "/etc")):
                self._client.create(f"{name}-{number}", "exit 0", Binds=[f"{name}:{target}"])
        finally:
            for number in range(2):
                self._client.remove(f"{name}-{number}")
            shutil.rmtree(self._suite.root / "agent" / self._suite.node / "volumes" / name, ignore_errors=True)

    def _undone(self) -> None:
        """A volume can't be filled from a file."""
        name = f"chore-{next(_numbers)}"
        host = {"NetworkMode": "none", "Binds": [f"{name}:/etc/passwd"]}
        body = {"Image": "busybox", "Cmd": ["true"], "Volumes": {"/anonymous": {}}, "HostConfig": host}
        self._ask("POST", f"/containers/create?name={name}", body)

    def _name_taken(self) -> None:
        name = f"chore-{next(_numbers)}"
        container = self._client.create(name, "exit 0")
        try:
            self._ask("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["true"]})
        finally:
            self._client.remove(container)

    def _name_left(self) -> None:
        """It is taken again while it still stands in the bucket."""
        name = f"chore-{next(_numbers)}"
        for _ in range(4):
            self._client.remove(self._client.create(name, "exit 0"))

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
