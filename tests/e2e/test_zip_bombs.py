"""Images and archives of a few megabytes that would fill a disk: refused early, with nothing left."""

import bz2
import gzip
import tarfile
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

pytestmark = [pytest.mark.root, pytest.mark.seaway_only]
MIB = 1 << 20
MIBS = 1100
WHY = "200 times the compressed size is the most that is accepted"


def header() -> bytes:
    """Of a tar's one file, of zeros."""
    info = tarfile.TarInfo("zeros")
    info.size = MIBS * MIB
    return info.tobuf()


def gzip_bomb() -> bytes:
    return gzip.compress(header()) + gzip.compress(bytes(MIB)) * MIBS + gzip.compress(bytes(1024))


def bzip2_bomb() -> bytes:
    return bz2.compress(header()) + bz2.compress(bytes(MIB)) * MIBS + bz2.compress(bytes(1024))


def stored(engine: Seaway) -> set[Path]:
    """All files of the image service but its database."""
    files = (path for path in (engine.root / "image").rglob("*") if path.is_file())
    return {path for path in files if not path.name.startswith("events")}


@pytest.mark.parametrize(
    ("words", "archive"),
    [
        (("load",), gzip_bomb),
        (("load",), bzip2_bomb),
        (("load",), lambda: images.archive([gzip_bomb()], {"Cmd": ["sh"]}, ["bomb:latest"])),
        (("import", "-"), gzip_bomb),
        (("import", "-"), bzip2_bomb),
    ],
    ids=["load gzip", "load bzip2", "load a gzip layer", "import gzip", "import bzip2"],
)
def test_refused_and_nothing_left(engine: Seaway, cli: DockerCli, words: tuple[str, ...], archive: object) -> None:
    before, listed = stored(engine), cli("images", "-aq").out
    assert callable(archive)
    result = cli.try_(*words, input=archive())
    assert result.code != 0 and WHY in result.err, result.err
    assert stored(engine) == before
    assert cli("images", "-aq").out == listed


def test_a_file_of_zeros_in_a_layer_is_no_bomb(cli: DockerCli) -> None:
    layer = images.Layer()
    layer.file("zeros", bytes(100 * MIB))
    archive = images.archive([images.busybox_layer(), layer.bytes()], {"Cmd": ["sh"]}, ["zeros:latest"])
    cli("load", input=gzip.compress(archive))
    assert cli("run", "--rm", "zeros", "wc", "-c", "zeros").out == f"{100 * MIB} zeros"
    cli("rmi", "zeros")
