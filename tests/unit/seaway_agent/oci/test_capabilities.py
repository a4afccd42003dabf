"""Docker's capability rules."""

import pytest

from seaway_agent.oci.capabilities import ALL, DEFAULT, UnknownCapability, effective, normalize

DOCKERS_MASK = 0xA80425FB
NUMBERS = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
    "NET_BIND_SERVICE": 10, "NET_RAW": 13, "SYS_CHROOT": 18, "MKNOD": 27, "AUDIT_WRITE": 29, "SETFCAP": 31,
}  # fmt: skip


def test_the_default_is_what_docker_shows_as_capeff() -> None:
    assert sum(1 << NUMBERS[name.removeprefix("CAP_")] for name in effective((), (), False)) == DOCKERS_MASK


def test_the_kernels_forty_one() -> None:
    assert len(set(ALL)) == 41
    assert set(DEFAULT) < set(ALL)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (("NET_ADMIN",), (), set(DEFAULT) | {"CAP_NET_ADMIN"}),
        (("cap_net_admin",), ("CHOWN",), (set(DEFAULT) | {"CAP_NET_ADMIN"}) - {"CAP_CHOWN"}),
        (("ALL",), (), set(ALL)),
        (("ALL",), ("SYS_ADMIN",), set(ALL) - {"CAP_SYS_ADMIN"}),
        ((), ("ALL",), set()),
        (("KILL",), ("all",), {"CAP_KILL"}),
        (("KILL",), ("KILL",), set(DEFAULT)),
    ],
)
def test_add_and_drop(add: tuple[str, ...], drop: tuple[str, ...], expected: set[str]) -> None:
    assert set(effective(add, drop, False)) == expected


def test_privileged_has_all_whatever_is_dropped() -> None:
    assert effective((), ("ALL",), True) == ALL


@pytest.mark.parametrize("name", ["", "NONSENSE", "CAP_", "CAP_CAP_CHOWN"])
def test_an_unknown_one_is_refused_in_dockers_words(name: str) -> None:
    with pytest.raises(UnknownCapability, match="invalid capability"):
        normalize(name)
