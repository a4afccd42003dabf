"""POST /containers/{id}/update."""

from typing import Any, Final

from differ.steps import Case, Step, case, create, inspect, post, start, until

_MIB: Final = 1 << 20


def _update(**body: Any) -> Step:
    return post("/containers/{c}/update", body)


CASES: Final[tuple[Case, ...]] = (
    case("created", create(), _update(Memory=64 * _MIB, MemorySwap=128 * _MIB, CpuShares=100), inspect()),
    case("running", create(), start(), _update(Memory=64 * _MIB, MemorySwap=128 * _MIB, PidsLimit=30), inspect()),
    case(
        "restart policy",
        create(),
        start(),
        _update(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 4}),
        inspect(),
    ),
    case("cpu", create(), start(), _update(NanoCpus=500_000_000), inspect()),
    case("cpu in quota and period", create(), start(), _update(CpuPeriod=100_000, CpuQuota=30_000), inspect()),
    case("contradicting cpu", create(host={"NanoCpus": 10**9}), start(), _update(CpuPeriod=100_000)),
    case("swap below the memory", create(), start(), _update(Memory=64 * _MIB, MemorySwap=32 * _MIB)),
    case(
        "memory above its swap",
        create(host={"Memory": 32 * _MIB, "MemorySwap": 32 * _MIB}),
        start(),
        _update(Memory=64 * _MIB),
    ),
    case("too little memory", create(), start(), _update(Memory=1)),
    case("a bad policy", create(), start(), _update(RestartPolicy={"Name": "perhaps"})),
    case(
        "a policy that contradicts",
        create(host={"AutoRemove": True}),
        start(),
        _update(RestartPolicy={"Name": "always"}),
    ),
    case("a bad cpuset", create(), start(), _update(CpusetCpus="99")),
    case("a cpuset of a stopped one that isn't there", create(), _update(CpusetCpus="99"), _update(CpusetMems="99")),
    case("too many cpus", create(), start(), _update(NanoCpus=1000 * 10**9)),
    case("too many cpus for a stopped one", create(), _update(NanoCpus=1000 * 10**9)),
    case("negative cpus", create(), _update(NanoCpus=-1)),
    case("real time", create(), _update(CpuRealtimePeriod=1_000_000, CpuRealtimeRuntime=950_000), inspect()),
    case("real time out of range", create(), _update(CpuRealtimePeriod=1000, CpuRealtimeRuntime=2000)),
    case("block I/O weight", create(), start(), _update(BlkioWeight=300), inspect()),
    case("block I/O weight out of range", create(), _update(BlkioWeight=5)),
    case("swappiness and the OOM killer", create(), _update(MemorySwappiness=5, OomKillDisable=True), inspect()),
    case("an own cgroup", create(), _update(CgroupParent="/x"), inspect()),
    case("of a wrong type", create(), _update(Memory="x")),
    case("nothing to do", create(), start(), _update(), inspect()),
    case("without a body", create(), post("/containers/{c}/update")),
    case("exited", create("true"), start(), until("exited"), _update(CpuShares=200), inspect()),
    case("nothing", post("/containers/nothing/update", {"CpuShares": 2})),
)
