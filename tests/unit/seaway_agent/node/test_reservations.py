"""What a node lets its containers reserve."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.seaway_agent.runner_bench import Bench

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.node.config import ReceivedConfig
from seaway_agent.node.reservations import Reservations, lacks
from seaway_contracts.containers import ContainerSpec, DeviceRequest, Resources
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_contracts.node_settings import ClusterSettings, NodeSettings, Reserved
from seaway_contracts.nodes import CORE, GPU_KIND, Capacity, Reservation, reservation, total
from seaway_testing.builders import GIB, spec

NODE = Capacity(nano_cpus=4 * CORE, memory=8 * GIB)


def memory(size: int) -> Reservation:
    return Reservation(memory=size)


def cpus(number: float) -> Reservation:
    return Reservation(nano_cpus=int(number * CORE))


def gpus(number: int) -> Reservation:
    return Reservation(devices={GPU_KIND: number})


@pytest.mark.parametrize(
    ("wanted", "held", "kept_free", "cluster", "lacking"),
    [
        (memory(8 * GIB), memory(0), Reserved(), ClusterSettings(), ""),
        (memory(1), memory(8 * GIB), Reserved(), ClusterSettings(), "memory"),
        (memory(GIB), memory(6 * GIB), Reserved(memory=GIB), ClusterSettings(), ""),
        (memory(GIB + 1), memory(6 * GIB), Reserved(memory=GIB), ClusterSettings(), "memory"),
        (memory(8 * GIB), memory(8 * GIB), Reserved(), ClusterSettings(memory_overcommit=2.0), ""),
        (memory(8 * GIB), memory(8 * GIB + 1), Reserved(), ClusterSettings(memory_overcommit=2.0), "memory"),
        (memory(0), memory(9 * GIB), Reserved(), ClusterSettings(), ""),
        (cpus(1), cpus(3), Reserved(), ClusterSettings(), ""),
        (cpus(1), cpus(3.5), Reserved(), ClusterSettings(), "CPU"),
        (cpus(1), cpus(3), Reserved(nano_cpus=1), ClusterSettings(), "CPU"),
        (cpus(1), cpus(3.5), Reserved(), ClusterSettings(cpu_overcommit=1.5), ""),
        (gpus(1), gpus(1), Reserved(), ClusterSettings(), ""),
        (gpus(1), gpus(2), Reserved(), ClusterSettings(), GPU_KIND),
        (Reservation(devices={"other.com/x": 1}), gpus(2), Reserved(), ClusterSettings(), ""),
    ],
)
def test_what_a_node_lacks(
    wanted: Reservation, held: Reservation, kept_free: Reserved, cluster: ClusterSettings, lacking: str
) -> None:
    assert lacks(wanted, held, NODE, {GPU_KIND: 2}, kept_free, cluster) == lacking


def test_limits_reserve_nothing() -> None:
    limits = Resources(memory=9 * GIB, nano_cpus=9 * CORE)
    assert reservation(limits) == Reservation()
    by_name = DeviceRequest(driver="cdi", ids=("nvidia.com/gpu=0",))
    all_gpus = DeviceRequest(count=-1, capabilities=(("gpu",),))
    assert reservation(Resources(device_requests=(by_name, all_gpus))) == Reservation()
    two = DeviceRequest(count=2, capabilities=(("gpu",),))
    hard = Resources(memory_reservation=GIB, cpu_reservation=CORE, device_requests=(two, two))
    assert reservation(hard) == Reservation(nano_cpus=CORE, memory=GIB, devices={GPU_KIND: 4})
    assert total([reservation(hard), gpus(1), memory(1)]) == Reservation(
        nano_cpus=CORE, memory=GIB + 1, devices={GPU_KIND: 5}
    )


class Judge:
    """A node of 4 cores and 8 GiB, whose agent judges."""

    def __init__(self, bench: Bench) -> None:
        self.inventory = Inventory("n1", bench.journal, "e1")
        self.config = ReceivedConfig(bench.bus, "n1", bench.store)
        self.reservations = Reservations(self.inventory, self.config, NODE, dict)

    def has(self, seed: int, size: int) -> None:
        """The container is there."""
        made: Any = SimpleNamespace(spec=reserving(seed, size))
        self.inventory.runners[made.spec.id] = made

    def refusal(self, seed: int, size: int, *, again: bool = False) -> SeawayError | None:
        try:
            with self.reservations.taken(reserving(seed, size), again=again):
                return None
        except SeawayError as error:
            return error


def reserving(seed: int, size: int) -> ContainerSpec:
    return spec(seed, resources=Resources(memory_reservation=size))


@pytest.fixture
def judge(bench: Bench) -> Judge:
    return Judge(bench)


def test_what_does_not_fit_is_refused_with_its_reason(judge: Judge) -> None:
    judge.has(1, 6 * GIB)
    assert judge.refusal(2, 2 * GIB) is None
    error = judge.refusal(2, 2 * GIB + 1)
    assert error is not None
    assert (error.code, error.reason) == (Code.CONFLICT, Reason.NO_ROOM)
    assert error.facts == {"node": "n1", "lacks": "memory"}
    assert error.message == "node n1 has too little memory left to reserve for the container"
    judge.config.settings = NodeSettings(node="n1", reserved=Reserved(memory=GIB))
    assert judge.refusal(2, 2 * GIB) is not None
    assert judge.refusal(2, 0) is None, "what reserves nothing is never refused"


def test_containers_that_are_being_made_count_once(judge: Judge) -> None:
    with judge.reservations.taken(reserving(1, 5 * GIB), again=False):
        assert judge.refusal(2, 4 * GIB) is not None
        judge.has(1, 5 * GIB)
        assert judge.refusal(2, 3 * GIB) is None
    assert judge.refusal(2, 4 * GIB) is not None
    del judge.inventory.runners[reserving(1, 0).id]
    assert judge.refusal(2, 8 * GIB) is None


def test_a_creation_that_fails_gives_its_reservation_back(judge: Judge) -> None:
    with pytest.raises(OSError, match="full"), judge.reservations.taken(reserving(1, 8 * GIB), again=False):
        raise OSError("full")
    assert judge.refusal(2, 8 * GIB) is None


def test_a_container_that_was_here_before_is_never_refused(judge: Judge) -> None:
    judge.has(1, 8 * GIB)
    assert judge.refusal(2, GIB, again=True) is None


def test_a_drained_node_refuses_what_is_new(judge: Judge) -> None:
    judge.config.settings = NodeSettings(node="n1", availability="drain")
    error = judge.refusal(1, 0)
    assert error is not None
    assert (error.reason, error.message) == (
        Reason.NO_ROOM,
        "node n1 gets no new containers: it is being drained",
    )
    assert judge.refusal(1, 0, again=True) is None


def test_an_update_is_judged_by_what_it_adds(judge: Judge) -> None:
    judge.has(1, 5 * GIB)
    judge.has(2, 2 * GIB)
    identifier = reserving(2, 0).id
    with judge.reservations.raised(identifier, Resources(memory_reservation=3 * GIB)):
        assert judge.refusal(3, 1) is not None, "it is counted before it is stored"
    assert judge.refusal(3, GIB) is None
    with judge.reservations.raised(identifier, Resources(memory=9 * GIB)):
        assert judge.refusal(3, GIB) is None
    too_much = Resources(memory_reservation=3 * GIB + 1)
    with (
        pytest.raises(SeawayError, match="too little memory") as caught,
        judge.reservations.raised(identifier, too_much),
    ):
        pass
    assert caught.value.reason is Reason.NO_ROOM
