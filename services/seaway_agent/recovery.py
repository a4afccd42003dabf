"""Takes up what an agent before this one left: adopts what runs, finishes or undoes what was begun, sweeps the rest."""

import asyncio
import contextlib
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seaway_agent import endpoints
from seaway_agent.cell import Cell
from seaway_agent.core.instructions import Ask, Exit, Launched
from seaway_agent.core.restart import starts_with_node
from seaway_agent.core.steps import Phase
from seaway_agent.endpoints import Connection
from seaway_agent.execs.recovery import ExecRecovery
from seaway_agent.kernel import launcher, procs
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.publisher import Published
from seaway_agent.node import Node
from seaway_agent.plumbing import Plumbing
from seaway_agent.run import Run
from seaway_agent.runtime.gates import GATE, held_at_gate
from seaway_agent.runtime.shim import ExitFiles
from seaway_agent.runtime.shims import end_with_children, kill_and_wait, shims_below
from seaway_agent.runtime.teardown import take_down
from seaway_agent.store import Stored
from seaway_contracts.containers import Endpoint, PublishedPort, State
from seaway_contracts.ids import is_container_id

log = logging.getLogger(__name__)
LOST_WITH_NODE: Final = 255
_WRITES_S: Final = 5.0
_LOOK_S: Final = 0.002


@dataclass(frozen=True)
class Found:
    """What there is of a container's run: process and shim (0: gone), and what the run was given."""

    pid: int
    conmon: int
    started: bool
    note: dict[str, Any]

    @property
    def run(self) -> int:
        """Which run it is; 0 where that was not yet written down."""
        return int(self.note.get("run", 0))


class Recovery:
    """One pass over everything, before the agent takes commands."""

    def __init__(self, node: Node, same_boot: bool) -> None:
        self._node = node
        self._plumbing: Plumbing = node.plumbing
        self._same_boot = same_boot
        self._adopted = 0
        self._shims: dict[str, int] = {}

    async def run(self, stored: list[Stored]) -> None:
        """Adopt, finish, undo, sweep."""
        self._shims = shims_below(self._plumbing.layout.run)
        cells = [self._cell(item) for item in stored]
        self._plumbing.volumes.start([cell.spec for cell in cells])
        execs = ExecRecovery(self._plumbing, self._same_boot)
        for cell in cells:
            execs.settle(cell)
        runs = {cell.spec.id: await self._take_up(cell) for cell in cells}
        await self._restore_network({cell: run for cell in cells if (run := runs[cell.spec.id]) is not None})
        for cell in cells:
            run = runs[cell.spec.id]
            if run is not None:
                cell.adopt(run)
                execs.adopt(cell)
        execs.sweep()
        self._sweep(known={cell.spec.id for cell in cells})
        if not self._same_boot:
            self._start_with_node(cells)
        if stored:
            log.info("took up %d containers, %d of them running", len(stored), self._adopted)

    def _cell(self, stored: Stored) -> Cell:
        status = stored.status
        phase = {
            State.RUNNING: Phase.RUNNING,
            State.PAUSED: Phase.PAUSED,
            State.REMOVING: Phase.REMOVING,
            State.RESTARTING: Phase.TEARING_DOWN,
        }.get(status.state, Phase.IDLE)
        if status.state is State.EXITED and stored.spec.auto_remove:
            phase = Phase.TEARING_DOWN
        cell = Cell(self._plumbing, stored.spec, status, stored.lowers, self._node.forget, phase)
        self._node.add(cell)
        return cell

    async def _take_up(self, cell: Cell) -> Run | None:
        """Bring one container to a state that is true; its run, if it goes on."""
        found = self._look(cell)
        if found is not None:
            await self._until_written(cell, found)
        if cell.machine.phase in (Phase.RUNNING, Phase.PAUSED):
            return await self._running(cell, found)
        if found is not None and found.run > cell.status.run and cell.machine.phase is not Phase.REMOVING:
            return await self._launching(cell, found)
        if found is not None and cell.machine.phase is Phase.IDLE:
            self._undo(cell, found)
        cell.do(cell.machine.resume(time.time_ns()))
        return None

    async def _until_written(self, cell: Cell, found: Found) -> None:
        """The program has ended and its shim is at work: in a moment it has written down how."""
        end = time.monotonic() + _WRITES_S
        while found.started and not found.pid and found.conmon and self._exit(cell) is None:
            if procs.start_time(found.conmon) is None or time.monotonic() > end:
                return
            await asyncio.sleep(_LOOK_S)

    async def _running(self, cell: Cell, found: Found | None) -> Run | None:
        if not self._same_boot:
            cell.do(cell.machine.exited(Exit(LOST_WITH_NODE, time.time_ns())))
            return None
        how = self._exit(cell)
        if how is None and found is not None and found.pid:
            return await self._run(cell, found)
        if how is None:
            log.warning("container %s ended, and nobody wrote down how", cell.spec.id[:12])
            how = Exit(-1, time.time_ns())
        cell.do(cell.machine.exited(Exit(how.code, max(how.time_ns, cell.status.started_ns), how.oom)))
        return None

    async def _launching(self, cell: Cell, found: Found) -> Run | None:
        """A launch that the last agent did not live to finish: finish it if the program runs, else undo it."""
        ended = self._exit(cell)
        if not found.started or not (found.pid or ended):
            log.info("container %s: undoes a start that was interrupted", cell.spec.id[:12])
            self._undo(cell, found)
            cell.do(cell.machine.resume(time.time_ns()))
            return None
        (self._state(cell)[1] / GATE).unlink(missing_ok=True)
        endpoint, ports = _noted(found.note)
        began = min(time.time_ns(), _began_ns(self._plumbing, cell))
        cell.machine.launching(found.run, _asked(found.note, "starters"), _asked(found.note, "restarters"))
        cell.do(cell.machine.launched(Launched(found.pid, began, (endpoint,), ports)))
        if ended is not None:
            cell.do(cell.machine.exited(Exit(ended.code, max(ended.time_ns, began), ended.oom)))
            return None
        return await self._run(cell, found)

    async def _run(self, cell: Cell, found: Found) -> Run | None:
        status = cell.status
        endpoint = status.endpoints[0] if status.endpoints else Endpoint(network="none", network_id="")
        sandbox = None
        if endpoint.network in ("bridge", "none"):
            try:
                sandbox = await self._plumbing.network.adopt(found.pid, endpoints.address_of(endpoint))
            except (NetworkError, OSError) as error:
                log.warning("container %s: its network can't be taken over: %s", cell.spec.id[:12], error)
        try:
            pidfd = procs.open_pidfd(found.pid)
            conmon_fd = procs.open_pidfd(found.conmon) if found.conmon else -1
        except ProcessLookupError:
            cell.do(cell.machine.exited(self._exit(cell) or Exit(-1, time.time_ns())))
            return None
        if found.conmon:
            launcher.unmount_in_namespace_of(found.conmon, str(self._plumbing.layout.bundles))
        self._adopted += 1
        return Run(Connection(endpoint, sandbox, status.ports), found.pid, pidfd, conmon_fd, child=False)

    async def _restore_network(self, live: dict[Cell, Run]) -> None:
        network = self._plumbing.network
        published = {}
        for cell, run in live.items():
            address = endpoints.address_of(run.connection.endpoint)
            if run.connection.ports and address is not None:
                bindings = tuple(map(endpoints.host_binding, run.connection.ports))
                published[cell.spec.id] = Published(address, bindings)
        for warning in await network.restore(published):
            log.warning("%s", warning)
        for veth in await network.sweep():
            log.info("removed %s, which belongs to no container", veth)
        network.fill()

    # --- looking

    def _exit(self, cell: Cell) -> Exit | None:
        layout, container = self._plumbing.layout, cell.spec.id
        return ExitFiles.of(layout.exits, layout.persist(container), layout.bundle(container), container).read()

    def _look(self, cell: Cell) -> Found | None:
        """What is there of the container's run; None without any trace."""
        bundle = self._plumbing.layout.bundle(cell.spec.id)
        if not self._same_boot or not bundle.exists():
            return None
        name, state = self._state(cell)
        pid, born = _runtime_process(state)
        pid = pid if pid and procs.alive(pid, born) else 0
        conmon = self._shims.get(cell.spec.id, 0)
        gated = (state / GATE).exists()
        if gated and name == "runc":
            # Its init opens the gate itself, and runs the program before anybody can take the gate away.
            gated = held_at_gate(pid) if pid else not conmon and self._exit(cell) is None
        return Found(pid, conmon, started=state.exists() and not gated, note=_json(bundle / "run.json"))

    def _state(self, cell: Cell) -> tuple[str, Path]:
        """The container's runtime, and where that keeps what it knows of it."""
        name, _ = self._plumbing.runtime(cell.spec.runtime)
        return name, self._plumbing.layout.runtime_root(name) / cell.spec.id

    def _undo(self, cell: Cell, found: Found) -> None:
        """Leave nothing of a run that is over, or whose program has not begun: as if it had never been asked for."""
        if found.conmon:
            end_with_children(found.conmon)
        left = self._look(cell)
        if left is not None and left.pid:
            kill_and_wait(left.pid)
        self._take_down(cell.spec.id, self._state(cell)[0])

    def _take_down(self, container: str, *runtimes: str) -> None:
        node = self._plumbing
        try:
            take_down(node.layout, node.cgroups, node.cgroups_path(container), container, *runtimes)
        except OSError as error:
            log.error("container %s: something of its run is left: %s", container[:12], error)

    def _sweep(self, known: set[str]) -> None:
        """Remove what belongs to no container: bundles, shims, runtimes' state, cgroups, exit files."""
        node = self._plumbing
        for container in sorted(self._all_ids() - known):
            if is_container_id(container):
                if container in self._shims:
                    end_with_children(self._shims[container])
                log.info("removed what was left of container %s", container[:12])
                self._take_down(container, *node.runtimes)
        node.uppers.start(known)

    def _all_ids(self) -> set[str]:
        """The names of all that may be left of runs."""
        node = self._plumbing
        layout = node.layout
        places = [str(path) for path in (layout.bundles, layout.exits, *map(layout.runtime_root, node.runtimes))]
        found = set(self._shims)
        for directory in (*places, *node.cgroups.directories(f"/seaway/{node.suite}")):
            with contextlib.suppress(FileNotFoundError):
                found |= {entry.name for entry in os.scandir(directory)}
        return found

    def _start_with_node(self, cells: list[Cell]) -> None:
        """After a reboot: restart policies."""
        for cell in cells:
            was_running = cell.status.exit_code == LOST_WITH_NODE
            if cell.machine.phase is Phase.IDLE and starts_with_node(
                cell.spec.restart, was_running, cell.status.manually_stopped
            ):
                cell.do(cell.machine.start_again())


def _runtime_process(state: Path) -> tuple[int, int]:
    """Pid and start time of the container's first process, from crun's `status`, runc's `state.json` or gVisor's
    file. That tells no start time: it is believed while the process is a sandbox.
    """
    crun = _json(state / "status")
    if crun:
        return int(crun.get("pid", 0)), int(crun.get("process-start-time", 0))
    runc = _json(state / "state.json")
    if runc:
        return int(runc.get("init_process_pid", 0)), int(runc.get("init_process_start", 0))
    gvisor = next((_json(path) for path in state.glob("*.state")), {})
    pid = int((gvisor.get("sandbox") or {}).get("pid", 0)) if gvisor.get("status") == "running" else 0
    return (pid, procs.start_time(pid) or 0) if pid and _is_sandbox(pid) else (0, 0)


def _is_sandbox(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"runsc-sandbox")
    return False


def _json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _noted(note: dict[str, Any]) -> tuple[Endpoint, tuple[PublishedPort, ...]]:
    endpoint = Endpoint.model_validate(note.get("endpoint") or {"network": "none", "network_id": ""})
    return endpoint, tuple(PublishedPort.model_validate(port) for port in note.get("ports") or ())


def _asked(note: dict[str, Any], who: str) -> list[Ask]:
    return [Ask(str(command), str(actor)) for command, actor in note.get(who) or ()]


def _began_ns(node: Plumbing, cell: Cell) -> int:
    """About when the interrupted launch let the program run: conmon's pid file is a little older."""
    try:
        return (node.layout.bundle(cell.spec.id) / "pidfile").stat().st_mtime_ns
    except OSError:
        return time.time_ns()
