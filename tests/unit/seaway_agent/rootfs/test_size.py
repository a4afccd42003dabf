"""Sizes as docker counts them."""

from pathlib import Path

from seaway_agent.rootfs.size import ContainerSize, container_size


def test_hard_links_count_once_and_directories_nothing(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").hardlink_to(tmp_path / "d" / "a")
    (tmp_path / "c").write_bytes(b"y" * 10)
    (tmp_path / "l").symlink_to("12345")
    assert container_size(tmp_path, 5000) == ContainerSize(1015, 6015)


def test_an_untouched_layer_is_empty(tmp_path: Path) -> None:
    assert container_size(tmp_path, 7) == ContainerSize(0, 7)
