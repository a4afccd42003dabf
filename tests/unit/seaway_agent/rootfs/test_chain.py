"""Chain ids, against the definition in the OCI image spec."""

import hashlib

from seaway_agent.rootfs.chain import chain_ids


def test_the_bottom_layer_is_its_own_chain_and_others_hash_what_is_below() -> None:
    a, b, c = (f"sha256:{digit * 64}" for digit in "abc")
    ab = "sha256:" + hashlib.sha256(f"{a} {b}".encode()).hexdigest()
    abc = "sha256:" + hashlib.sha256(f"{ab} {c}".encode()).hexdigest()
    assert chain_ids([a, b, c]) == [a, ab, abc]
    assert chain_ids([]) == []
