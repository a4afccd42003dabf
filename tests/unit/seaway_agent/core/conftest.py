"""A container's machine spoken to in short words: what it says is one line per instruction."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_agent.core.instructions import (
    Answer,
    Delete,
    Emit,
    Exit,
    Instruction,
    Launch,
    Launched,
    LogError,
    Record,
    RunProbe,
    SendSignal,
    SetTimer,
    StopProbe,
    TearDown,
    Thaw,
    Waiter,
    WriteFiles,
)
from seaway_agent.core.machine import Machine
from seaway_agent.core.phases import Phase
from seaway_contracts.containers import ContainerStatus, Endpoint, RestartPolicy
from seaway_contracts.errors import internal
from seaway_testing import builders

BRIDGE = Endpoint(network="bridge", network_id="n" * 64, address="172.18.0.2", prefix_len=16)
SECOND_NS = 1_000_000_000


def words_of(do: Instruction) -> str:
    """One instruction as one line."""
    match do:
        case Record():
            cause = f" by {do.waiter.command}" if do.waiter else ""
            events = ", ".join(map(_event, do.events))
            return f"record {do.status.state}: {events}{cause}" if events else f"record {do.status.state}"
        case Answer():
            return f"answer {do.waiter.command}" + (f" {do.error.status}" if do.error else "")
        case SendSignal():
            return f"signal {do.signal}"
        case SetTimer():
            return f"timer {do.name} " + ("off" if do.after_ns is None else f"{do.after_ns / SECOND_NS:g}s")
        case Launch():
            return f"launch {do.run}"
        case Delete():
            return "delete with volumes" if do.volumes else "delete"
        case Thaw():
            return "thaw"
        case RunProbe():
            return f"probe {do.number} {' '.join(do.argv)}"
        case StopProbe():
            return "stop probe"
        case WriteFiles():
            return "write files" + "".join(f", without {one.network}" for one in do.left)
        case TearDown():
            return "tear down"
        case LogError():
            return f"log: {do.text}"


def _event(event: Emit) -> str:
    noun = "" if event.noun == "container" else f"{event.noun} "
    value = event.volume or event.attributes.get("exitCode", event.attributes.get("signal", ""))
    return f"{noun}{event.action}" + (f" {value}" if value else "")


class Box:
    """One container and the seconds that have gone by; each method gives what the machine says, in lines."""

    def __init__(self, status: ContainerStatus | None = None, phase: Phase = Phase.IDLE, **spec: Any) -> None:
        self.machine = Machine(builders.spec(1, **spec), status or ContainerStatus(), phase)
        self.now_ns = 1000 * SECOND_NS

    @property
    def state(self) -> str:
        return str(self.machine.status.state)

    def _say(self, instructions: list[Instruction]) -> list[str]:
        return [words_of(do) for do in instructions]

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)

    def create(self, who: str = "c") -> list[str]:
        return self._say(self.machine.create(Waiter(who), self.now_ns))

    def start(self, who: str) -> list[str]:
        return self._say(self.machine.start(Waiter(who)))

    def stop(self, who: str, timeout_s: int | None = None, signal: int | None = None) -> list[str]:
        return self._say(self.machine.stop(Waiter(who), timeout_s, signal, self.now_ns))

    def restart(self, who: str, timeout_s: int | None = None) -> list[str]:
        return self._say(self.machine.restart(Waiter(who), timeout_s, None, self.now_ns))

    def kill(self, who: str, signal: int = 9) -> list[str]:
        return self._say(self.machine.kill(Waiter(who), signal, self.now_ns))

    def pause(self, who: str) -> list[str]:
        return self._say(self.machine.pause(Waiter(who), self.now_ns))

    def unpause(self, who: str) -> list[str]:
        return self._say(self.machine.unpause(Waiter(who), self.now_ns))

    def remove(self, who: str, *, force: bool = False, volumes: bool = False) -> list[str]:
        return self._say(self.machine.remove(Waiter(who), force, volumes, self.now_ns))

    def launched(self, *endpoints: Endpoint) -> list[str]:
        return self._say(self.machine.launched(Launched(42, self.now_ns, endpoints or (BRIDGE,))))

    def launch_failed(self, code: int = 127) -> list[str]:
        return self._say(self.machine.launch_failed(internal("no such program"), code, self.now_ns))

    def exited(self, code: int = 0, *, oom: bool = False) -> list[str]:
        return self._say(self.machine.exited(Exit(code, self.now_ns, oom)))

    def torn_down(self) -> list[str]:
        return self._say(self.machine.torn_down(self.now_ns))

    def timer(self, name: str) -> list[str]:
        return self._say(self.machine.timer(name, self.now_ns))

    def deleted(self) -> list[str]:
        return self._say(self.machine.deleted(self.now_ns))

    def delete_failed(self) -> list[str]:
        return self._say(self.machine.delete_failed(internal("disk full"), self.now_ns))

    def adopted(self) -> list[str]:
        return self._say(self.machine.adopted(self.now_ns, 0))

    def resume(self) -> list[str]:
        return self._say(self.machine.resume())

    def restored(self, who: str) -> list[str]:
        return self._say(self.machine.restored(Waiter(who), self.now_ns))

    # --- ready-made situations, of which the words don't matter

    def running(self) -> "Box":
        self.create()
        self.start("s")
        self.launched()
        return self

    def paused(self) -> "Box":
        self.running().pause("p")
        return self

    def launching(self) -> "Box":
        self.create()
        self.start("s")
        return self

    def tearing_down(self, code: int = 0) -> "Box":
        self.running().exited(code)
        return self

    def ended(self, code: int = 0) -> "Box":
        self.tearing_down(code).torn_down()
        return self

    def backing_off(self) -> "Box":
        return self.ended(1)

    def removing(self) -> "Box":
        self.create()
        self.remove("r")
        return self


@pytest.fixture
def box() -> Box:
    """A container that has been created."""
    made = Box()
    made.create()
    return made


@pytest.fixture
def make_box() -> Callable[..., Box]:
    """Makes containers with fields of the spec; not yet created."""
    return Box


@pytest.fixture
def always() -> RestartPolicy:
    return RestartPolicy(name="always")
