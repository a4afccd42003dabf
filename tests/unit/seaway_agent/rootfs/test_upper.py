"""Writable layers, and their sizes as docker counts them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.rootfs.upper import ContainerSize, UpperStore, container_size


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UpperStore]:
    store = UpperStore(tmp_path / "containers")
    store.start([])
    yield store
    store.close()


def test_a_pair_of_empty_directories(store: UpperStore, tmp_path: Path) -> None:
    pair = store.acquire("c1")
    assert pair.path == tmp_path / "containers" / "c1"
    assert list(pair.upper.iterdir()) == list(pair.work.iterdir()) == []
    assert pair.upper.stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "containers").stat().st_mode & 0o7777 == 0o700


def test_acquiring_again_keeps_what_was_written(store: UpperStore) -> None:
    (store.acquire("c1").upper / "file").write_text("x")
    assert (store.acquire("c1").upper / "file").read_text() == "x"


def test_release_is_instant_and_leaves_nothing(store: UpperStore, tmp_path: Path) -> None:
    pair = store.acquire("c1")
    (pair.upper / "file").write_text("x")
    store.release("c1")
    assert not pair.path.exists()
    store.release("c1")
    store.close()
    assert list((tmp_path / "containers").iterdir()) == []


def test_start_sweeps_what_nobody_owns(store: UpperStore, tmp_path: Path) -> None:
    for name in ("kept", "lost"):
        store.acquire(name)
    foreign = tmp_path / "containers" / "foreign"
    foreign.mkdir()
    begun, strange = "ab" * 32, "cd" * 32
    (tmp_path / "containers" / begun).mkdir()
    (tmp_path / "containers" / strange / "of-another").mkdir(parents=True)
    (tmp_path / "containers" / "trash-00" / "upper").mkdir(parents=True)
    again = UpperStore(tmp_path / "containers")
    again.start(["kept"])
    again.close()
    assert sorted(p.name for p in (tmp_path / "containers").iterdir()) == [strange, "foreign", "kept"]


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".", "trash-1", "x" * 200])
def test_odd_ids_are_refused(store: UpperStore, name: str) -> None:
    with pytest.raises(ValueError, match="no container id"):
        store.acquire(name)


def test_hard_links_count_once_and_directories_nothing(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").hardlink_to(tmp_path / "d" / "a")
    (tmp_path / "c").write_bytes(b"y" * 10)
    (tmp_path / "l").symlink_to("12345")
    assert container_size(tmp_path, 5000) == ContainerSize(1015, 6015)


def test_an_untouched_layer_is_empty(tmp_path: Path) -> None:
    assert container_size(tmp_path, 7) == ContainerSize(0, 7)
