"""What the container's machine has its runner do (instructions), and what the runner reports to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from seaway_contracts.containers import ContainerStatus, Endpoint, PublishedPort
from seaway_contracts.errors import SeawayError
from seaway_contracts.execs import ExecInfo
from seaway_contracts.networks import NetworkRecord

TimerName = Literal["stop", "restart", "health", "grace"]


@dataclass(frozen=True, slots=True)
class Waiter:
    """A command whose caller waits for the outcome: its id (a repeat of it gets the same answer) and its actor."""

    command: str
    actor: str = ""


@dataclass(frozen=True, slots=True)
class PendingStop:
    """The commands that wait for the end of that run or for what follows it. The next agent continues from here.

    `stop`: the signal, and the seconds from `since_ns` (Unix) to SIGKILL (never if negative); None where nobody stops
    it. Stored as JSON, field by field.
    """

    run: int
    since_ns: int = 0
    stop: tuple[int, int] | None = None
    stoppers: tuple[Waiter, ...] = ()
    killers: tuple[Waiter, ...] = ()
    restarters: tuple[Waiter, ...] = ()
    removers: tuple[Waiter, ...] = ()
    volumes: bool = False


@dataclass(frozen=True, slots=True)
class PendingDisconnect:
    """A running container's endpoint that is being removed. The next agent finishes what this one doesn't record.

    Stored as JSON, field by field.
    """

    network_id: str
    waiter: Waiter


# --- what happened


@dataclass(frozen=True, slots=True)
class Launched:
    """The first process runs, under this AppArmor profile, if any (None: nobody knows)."""

    pid: int
    time_ns: int
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    apparmor: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How the first process ended. `code` is Docker's (128 + signal); -1 where nobody knows.

    `ran_ns` is how long it ran, by a clock that nobody sets; None where only the times of day are known.
    """

    code: int
    time_ns: int
    oom: bool = False
    ran_ns: int | None = None


# --- what to do


@dataclass(frozen=True, slots=True)
class Launch:
    """Make the sandbox, rootfs and bundle and run the container; then report Launched or a failure.

    `starters` and `restarters` asked for it.
    """

    run: int
    starters: tuple[Waiter, ...] = ()
    restarters: tuple[Waiter, ...] = ()


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Send a signal to the first process."""

    signal: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """Thaw frozen processes."""


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call back under `name` after that many nanoseconds; None takes the timer away."""

    name: TimerName
    after_ns: int | None


@dataclass(frozen=True, slots=True)
class RunProbe:
    """Run the health check's command in the container; then report `probed` with this number."""

    number: int
    argv: tuple[str, ...]
    timeout_ns: int


@dataclass(frozen=True, slots=True)
class StopProbe:
    """Kill the probe that is under way, if there is one."""


@dataclass(frozen=True, slots=True)
class WriteFiles:
    """Write the endpoints of the status into the running container's /etc/hosts, without those that it `left`."""

    left: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class TearDown:
    """Give back the network sandbox, cgroups, bundle; then report `torn_down`."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete what the container has on disk; then report `deleted`."""

    volumes: bool


@dataclass(frozen=True, slots=True)
class Emit:
    """One event to record. `network` is the endpoint of a network event.

    `volume` is the name of a volume event; `volume_id` and `anonymous` are set where it is made or removed.
    `changes_spec`: the container's spec is stored with it, and told.
    """

    action: str
    noun: Literal["container", "network", "volume"] = "container"
    attributes: Mapping[str, str] = field(default_factory=dict)
    network: Endpoint | None = None
    volume: str = ""
    volume_id: str = ""
    anonymous: bool = False
    changes_spec: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Store the status and these events in one transaction, then publish. `new`: nothing is stored of it yet."""

    status: ContainerStatus
    events: tuple[Emit, ...]
    waiter: Waiter | None = None
    time_ns: int = 0
    execs: tuple[ExecInfo, ...] = ()
    """Those that are new or have changed."""
    forgotten_execs: tuple[str, ...] = ()
    new: bool = False
    pending_stop: PendingStop | None = None
    networks: tuple[NetworkRecord, ...] = ()
    """Networks of users to store."""
    ends_disconnect: bool = False
    """Whether the container's pending disconnect is done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a command: it is done (`error` None), or why not."""

    waiter: Waiter
    status: ContainerStatus
    error: SeawayError | None = None


@dataclass(frozen=True, slots=True)
class LogError:
    """Log an error of the machine itself."""

    text: str


Instruction = (
    Launch
    | SendSignal
    | Thaw
    | SetTimer
    | RunProbe
    | StopProbe
    | WriteFiles
    | TearDown
    | Delete
    | Record
    | Answer
    | LogError
)


def answers_of_records(instructions: Sequence[Instruction]) -> list[list[Answer]]:
    """For each record, in order, the successes that it leads to: those behind it, before the next record.

    Those before the first record go with that one: their outcome was recorded earlier.
    """
    found: list[list[Answer]] = []
    early: list[Answer] = []
    for what in instructions:
        if isinstance(what, Record):
            found.append(early if not found else [])
        elif isinstance(what, Answer) and what.error is None:
            (found[-1] if found else early).append(what)
    return found
