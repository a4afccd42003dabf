"""Reads the cgroups of running containers, from files that are kept open between scrapes."""

from collections.abc import Container
from pathlib import Path

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.kernel.cgroups import Sampler

Run = tuple[str, int]
"""A container's id and the number of its run: each run has a cgroup of its own at the same path."""


class Samplers:
    """One sampler per run, opened when first asked for. Belongs to one thread."""

    def __init__(self, layout: CgroupLayout) -> None:
        self._layout = layout
        self._open: dict[Run, Sampler] = {}

    def __len__(self) -> int:
        return len(self._open)

    def sample(self, run: Run, cgroups_path: str) -> CgroupSample:
        """What the run has used so far. Raises OSError."""
        sampler = self._open.get(run)
        if sampler is None:
            sampler = self._open[run] = Sampler(self._layout, cgroups_path)
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

    def __init__(self, sys: Path = Path("/sys/dev/block")) -> None:
        self._sys = sys
        self.names: dict[str, str] = {}

    def learn(self, sample: CgroupSample) -> None:
        """Look up the devices of a sample that aren't known yet."""
        for io in sample.block_io:
            number = f"{io.major}:{io.minor}"
            if number not in self.names:
                self.names[number] = self._look_up(number)

    def _look_up(self, number: str) -> str:
        try:
            lines = (self._sys / number / "uevent").read_text().splitlines()
        except OSError:
            return number
        name = next((line.removeprefix("DEVNAME=") for line in lines if line.startswith("DEVNAME=")), "")
        return f"/dev/{name}" if name else number
