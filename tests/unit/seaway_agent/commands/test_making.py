"""How a container is made on a node, up to its runner."""

from pathlib import Path
from typing import cast

import pytest
from tests.unit.seaway_agent.runner_bench import Bench

from seaway_agent.commands.making import ContainerMaker
from seaway_agent.container.factory import RunnerFactory
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.volumes import directories
from seaway_agent.volumes.filler import VolumeFiller
from seaway_bus.bus import Command
from seaway_contracts.commands import CreateContainer
from seaway_contracts.containers import Mount
from seaway_contracts.errors import SeawayError, internal
from seaway_contracts.volumes import VolumeRecord
from seaway_testing import builders


class NoRunners:
    """A factory that refuses; what was made until then is seen."""

    def make(self, *_: object) -> None:
        raise internal("no runner")


async def test_its_new_volumes_are_synced_first(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(directories, "_sync", lambda path: synced.append(path.name))
    filler = VolumeFiller(bench.volumes, tmp_path)
    factory = cast(RunnerFactory, NoRunners())
    inventory = Inventory("n1", bench.journal, "e1")
    maker = ContainerMaker(inventory, factory, bench.uppers, bench.volumes, filler, bench.layout)
    spec = builders.spec(1, mounts=(Mount(type="volume", source="one", target="/v", no_copy=True),))
    asked = CreateContainer(spec=spec, volumes=(VolumeRecord(id="1", name="one", created_ns=1),))
    with pytest.raises(SeawayError, match="no runner"):
        await maker.make(asked, (), Command.new())
    assert synced == ["volume.json", "one", bench.layout.volumes.name]
    assert bench.volumes.listed(()) == {}
    filler.close()
