"""Reads the cgroups of running containers, from files that are kept open between scrapes."""

from collections.abc import Container
from pathlib import Path
from typing import Final

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.kernel.cgroups import Sampler

_BLOCK_DEVICES: Final = Path("/sys/dev/block")
Run = tuple[str, int]
"""A container's id and the number of its run: each run has a cgroup of its own at the same path."""


class Samplers:
    """One sampler per run, opened when first asked for. Belongs to one thread. `details`: see `Sampler`."""

    def __init__(self, layout: CgroupLayout, *, details: bool = False) -> None:
        self._layout = layout
        self._details = details
        self._open: dict[Run, Sampler] = {}

    def __len__(self) -> int:
        return len(self._open)

    def sample(self, run: Run, cgroups_path: str) -> CgroupSample:
        """What the run has used so far. Raises OSError."""
        sampler = self._open.get(run)
        if sampler is None:
            sampler = self._open[run] = Sampler(self._layout, cgroups_path, details=self._details)
        return sampler.sample()

    def retain(self, runs: Container[Run]) -> None:
        """Close the files of all other runs."""
        for run in [run for run in self._open if run not in runs]:
            self._open.pop(run).close()

    def close(self) -> None:
        """Close all; safe to call twice."""
        self.retain(())


class BlockDevices:
    """Names of block devices by number (`8:0` → `/dev/sda`); the number itself where there is no device."""

    def __init__(self, sys: Path = _BLOCK_DEVICES) -> None:
        self._sys = sys
        self.names: dict[str, str] = {}

    def learn(self, sample: CgroupSample) -> None:
        """Look up the devices of a sample that aren't known yet."""
        for io in sample.block_io:
            number = f"{io.major}:{io.minor}"
            if number not in self.names:
                self.names[number] = device_name(number, self._sys)


def device_name(number: str, sys: Path = _BLOCK_DEVICES) -> str:
    """The name of a block device (`8:0` → `/dev/sda`); the number where there is no such device, as with tmpfs."""
    try:
        lines = (sys / number / "uevent").read_text().splitlines()
    except OSError:
        return number
    name = next((line.removeprefix("DEVNAME=") for line in lines if line.startswith("DEVNAME=")), "")
    return f"/dev/{name}" if name else number
