"""Limits that Docker refuses, in its words (moby 26.1: daemon/daemon_unix.go, verifyPlatformContainerResources). Pure.

What depends on the node (how many CPUs there are, what its kernel can) is its agent's to check.
"""

from typing import Final

from seaway_docker.cpusets import parse_cpuset
from seaway_docker.errors import MEMORY_TOO_SMALL, InvalidParameter
from seaway_docker.model_host import Resources

_LEAST_MEMORY: Final = 6 << 20
_LEAST_SHARES: Final = 2
_MOST_SHARES: Final = 1 << 18


def check_resources(limits: Resources) -> None:
    """Raise InvalidParameter for limits out of range or against each other."""
    _check_memory(limits)
    _check_cpu(limits)
    _check_io(limits)
    for cpus, what in ((limits.cpuset_cpus, "cpus"), (limits.cpuset_mems, "mems")):
        try:
            parse_cpuset(cpus)
        except InvalidParameter as error:
            raise InvalidParameter(f"Invalid value {cpus} for cpuset {what}: {error}") from error
    for limit in limits.ulimits or ():
        if limit.hard not in (-1,) and (limit.soft > limit.hard or limit.soft == -1):
            raise InvalidParameter(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
            )


def _check_memory(limits: Resources) -> None:
    memory, swap, reservation = limits.memory, limits.memory_swap, limits.memory_reservation
    swappiness = limits.memory_swappiness
    if memory != 0 and memory < _LEAST_MEMORY:
        raise InvalidParameter(MEMORY_TOO_SMALL)
    if memory > 0 and 0 < swap < memory:
        raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0:
        raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
    if swappiness is not None and swappiness != -1 and not 0 <= swappiness <= 100:
        raise InvalidParameter(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if 0 < reservation < _LEAST_MEMORY:
        raise InvalidParameter("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reservation:
        raise InvalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpu(limits: Resources) -> None:
    if limits.nano_cpus and limits.cpu_period:
        raise InvalidParameter("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if limits.nano_cpus and limits.cpu_quota:
        raise InvalidParameter("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if limits.cpu_shares < 0:
        raise InvalidParameter("shares: invalid argument")
    if limits.cpu_shares and limits.cpu_shares < _LEAST_SHARES:
        raise InvalidParameter(f"the minimum allowed cpu-shares is {_LEAST_SHARES}")
    if limits.cpu_shares > _MOST_SHARES:
        raise InvalidParameter(f"the maximum allowed cpu-shares is {_MOST_SHARES}")
    if limits.cpu_period and not 1000 <= limits.cpu_period <= 1_000_000:
        raise InvalidParameter("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < limits.cpu_quota < 1000:
        raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if limits.cpu_realtime_runtime > limits.cpu_realtime_period:
        raise InvalidParameter("cpu real-time runtime cannot be higher than cpu real-time period")


def _check_io(limits: Resources) -> None:
    if limits.blkio_weight and not 10 <= limits.blkio_weight <= 1000:
        raise InvalidParameter("Range of blkio weight is from 10 to 1000")
    for given, what in ((limits.io_maximum_bandwidth, "bandwidth"), (limits.io_maximum_iops, "IOPs")):
        if given:
            raise InvalidParameter(f"Invalid QoS settings: linux does not support configuration of maximum {what}")
