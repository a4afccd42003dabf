"""R10: an enormous line: the container goes on, memory and disk stay bounded, and all that is kept can be read."""

import contextlib
from functools import partial
from pathlib import Path

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.measure import Peaks, resident, tree_size
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.docker_cli import DockerCli

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_MIB = 1 << 20
_MEMORY = 48 * _MIB
_SHIM = 8 * _MIB
_LOG_BYTES = 4 * _MIB
_LINE = scaled(1024, 320) * _MIB
_MOST_LOG = _LINE // 5  # while machine and disk are too busy to rotate in time


def _shim(container: str) -> int:
    """The container's conmon."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"conmon") and container.encode() in words:
                return int(entry.name)
    raise AssertionError("there is no conmon")


def _measures(suite: ChaosSuite, container: str) -> dict[str, "partial[int]"]:
    pids = {name: suite.processes()[name] for name in ("agent", "api", "nats")}
    return {name: partial(resident, pid) for name, pid in (*pids.items(), ("conmon", _shim(container)))}


def _check(peaks: Peaks) -> None:
    grown = {name: peaks.grown(name) // _MIB for name in ("agent", "api", "nats") if peaks.grown(name) > _MEMORY}
    assert grown == {} and peaks.most["conmon"] < _SHIM


def _line_of(client: Client, gate: Path, **config: object) -> str:
    """A running container that writes one long line, and a short one, once the gate is there."""
    script = f"until [ -e /gate/go ]; do sleep 0.05; done; head -c {_LINE} /dev/zero | tr '\\0' x; echo; echo end"
    container: str = client.create("line", script, Binds=[f"{gate}:/gate"], **config)
    client.start(container)
    return container


@pytest.fixture
def cli(suite: ChaosSuite, tmp_path: Path) -> DockerCli:
    return DockerCli(suite.host, tmp_path)


def test_r10_one_line_and_rotation(
    suite: ChaosSuite, client: Client, cli: DockerCli, figures: Figures, tmp_path: Path
) -> None:
    limits = {"max-size": str(_LOG_BYTES), "max-file": "3"}
    container = _line_of(client, tmp_path, LogConfig={"Type": "json-file", "Config": limits})
    log = partial(tree_size, suite.root / "agent" / suite.node / "containers" / container)
    with Peaks(log=log, **_measures(suite, container)) as peaks:
        (tmp_path / "go").touch()
        assert client.wait(container) == 0
    assert peaks.most["log"] < _MOST_LOG
    _check(peaks)
    assert cli("logs", "--tail", "1", container).out == "end"
    kept = cli("logs", container).stdout
    assert kept.endswith(b"x\nend\n") and _LOG_BYTES // 2 < len(kept) < _MOST_LOG
    figures.show("R10", f"a line of {_LINE // _MIB} MiB: log at most {peaks.most['log'] / _MIB:.0f} MiB")


def test_r10_one_line_read_in_full(
    suite: ChaosSuite, client: Client, cli: DockerCli, figures: Figures, tmp_path: Path
) -> None:
    """Followed while it is written, read again, and looked at from its end."""
    container = _line_of(client, tmp_path)
    with Peaks(**_measures(suite, container)) as peaks, cli.spawn("logs", "-f", container) as follower:
        (tmp_path / "go").touch()
        assert _length(follower.stdout) == _LINE + len("\nend\n")
        assert client.wait(container) == 0
        with cli.spawn("logs", container) as reader:
            assert _length(reader.stdout) == _LINE + len("\nend\n")
        assert cli("logs", "--tail", "1", container).out == "end"
        with cli.spawn("logs", "--tail", "2", container) as reader:
            assert _length(reader.stdout) == _LINE + len("\nend\n")
    _check(peaks)
    figures.show(
        "R10",
        f"a line of {_LINE // _MIB} MiB followed and read: "
        + ", ".join(f"{name} +{peaks.grown(name) / _MIB:.0f} MiB" for name in ("agent", "api", "conmon")),
    )


def _length(stream: object) -> int:
    total = 0
    while piece := stream.read(_MIB):  # type: ignore[attr-defined]
        total += len(piece)
    return total
