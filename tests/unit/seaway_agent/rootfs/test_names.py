"""Chain ids, against the definition in the OCI image spec; names of entries, hard links and whiteouts."""

import hashlib

import pytest

from seaway_agent.rootfs.errors import LayerRejected, LayerTooLarge
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.names import beneath, chain_ids, hidden_name, parts_of

LIMITS = Limits()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (b"a/b", [b"a", b"b"]),
        (b"./a//b/", [b"a", b"b"]),
        (b"/etc/passwd", [b"etc", b"passwd"]),
        (b"../../../etc", [b"etc"]),
        (b"a/../../b", [b"b"]),
        (b"./", []),
        (b"", []),
        (b"..", []),
        (b"a\\..\\b", [b"a\\..\\b"]),
    ],
)
def test_names_stay_below_the_root(name: bytes, parts: list[bytes]) -> None:
    assert parts_of(name, LIMITS) == parts


def test_hard_links_out_of_the_root_are_rejected() -> None:
    assert beneath(b"/a/../b", LIMITS) == [b"b"]
    for name in (b"../x", b"a/../../x", b".."):
        with pytest.raises(LayerRejected, match="outside"):
            beneath(name, LIMITS)


def test_bounds() -> None:
    with pytest.raises(LayerTooLarge, match="directories deep"):
        parts_of(b"d/" * 300, LIMITS)
    with pytest.raises(LayerTooLarge, match="70000 bytes"):
        parts_of(b"n" * 70_000, LIMITS)
    with pytest.raises(LayerRejected, match="255"):
        parts_of(b"n" * 256, LIMITS)


def test_whiteouts_name_a_file() -> None:
    assert hidden_name(b".wh.gone") == b"gone"
    for name in (b".wh.", b".wh..", b".wh..."):
        with pytest.raises(LayerRejected, match="names no file"):
            hidden_name(name)


def test_the_bottom_layer_is_its_own_chain_and_others_hash_what_is_below() -> None:
    a, b, c = (f"sha256:{digit * 64}" for digit in "abc")
    ab = "sha256:" + hashlib.sha256(f"{a} {b}".encode()).hexdigest()
    abc = "sha256:" + hashlib.sha256(f"{ab} {c}".encode()).hexdigest()
    assert chain_ids([a, b, c]) == [a, ab, abc]
    assert chain_ids([]) == []
