"""Logins at the registry: checked by metadata's records, refused when those are gone, slow for who guesses."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import FIND_LOGIN
from seaway_contracts.errors import Code, SeawayError, not_found
from seaway_contracts.registry_users import RegistryAccess, RegistryRights
from seaway_contracts.users import UserRef
from seaway_image.http.login_attempts import LoginAttempts
from seaway_image.http.logins import RECORD_S, Logins
from seaway_kit.passwords import hash_password
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

PUSH, PULL = RegistryRights.PUSH, RegistryRights.PULL


class Metadata:
    """Answers what a copy of metadata would."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[str] = []
        self.logins = {"ci": RegistryAccess(rights=PUSH, password=hash_password("right"))}

    async def find(self, request: UserRef, _: Command) -> RegistryAccess:
        self.asked.append(request.name)
        if request.name not in self.logins:
            raise not_found(f"{request.name} has no login at the registry")
        return self.logins[request.name]


class Rig:
    """Logins with a clock that is set, and waits that are noted."""

    def __init__(self, bus: Bus, most_waiting: int = 64) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.release = asyncio.Event()
        self.release.set()
        self.attempts = LoginAttempts(most_waiting)
        self.logins = Logins(bus, lambda: self.now, self._sleep, self.attempts)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.release.wait()


@pytest.fixture
async def metadata(fake_server: FakeServer) -> AsyncIterator[Metadata]:
    made = Metadata(Bus(FakeTransport(fake_server)))
    await made.bus.serve(FIND_LOGIN, made.find)
    yield made


@pytest.fixture
def rig(fake_server: FakeServer) -> Rig:
    return Rig(Bus(FakeTransport(fake_server)))


async def test_a_password_is_checked_and_remembered(metadata: Metadata, rig: Rig) -> None:
    for _ in range(3):
        assert await rig.logins.rights_of("ci", "right") is PUSH
    assert metadata.asked == ["ci"] and rig.waits == []
    rig.now += RECORD_S
    assert await rig.logins.rights_of("ci", "right") is PUSH
    assert metadata.asked == ["ci", "ci"]


@pytest.mark.parametrize("user", ["ci", "nobody", "no name!", "", "x" * 5000])
async def test_what_is_wrong_is_refused_in_the_same_way(metadata: Metadata, rig: Rig, user: str) -> None:
    assert await rig.logins.rights_of(user, "wrong") is None
    assert await rig.logins.rights_of(user, "wrong" * 1000) is None
    assert rig.waits == [0.5, 1.0]


async def test_a_change_counts_a_moment_later(metadata: Metadata, rig: Rig) -> None:
    assert await rig.logins.rights_of("ci", "right") is PUSH
    metadata.logins["ci"] = RegistryAccess(rights=PULL, password=metadata.logins["ci"].password)
    rig.now += RECORD_S
    assert await rig.logins.rights_of("ci", "right") is PULL
    metadata.logins["ci"] = RegistryAccess(rights=PULL, password=hash_password("other"))
    rig.now += RECORD_S
    assert await rig.logins.rights_of("ci", "right") is None
    assert await rig.logins.rights_of("ci", "other") is PULL
    del metadata.logins["ci"]
    rig.now += RECORD_S
    assert await rig.logins.rights_of("ci", "other") is None


async def test_while_metadata_is_away_nobody_is_refused_for_good(rig: Rig) -> None:
    with pytest.raises(SeawayError, match="logins can't be checked just now") as refused:
        await rig.logins.rights_of("ci", "right")
    assert refused.value.code is Code.UNAVAILABLE


async def test_guesses_are_bounded_and_keep_out_nobody_who_is_known(
    metadata: Metadata, fake_server: FakeServer
) -> None:
    rig = Rig(Bus(FakeTransport(fake_server)), most_waiting=2)
    assert await rig.logins.rights_of("ci", "right") is PUSH
    rig.release.clear()
    guesses = [asyncio.ensure_future(rig.logins.rights_of("ci", f"guess {number}")) for number in range(2)]
    await until(lambda: len(rig.waits) == 2)
    with pytest.raises(SeawayError, match="too many logins fail at once"):
        await rig.logins.rights_of("ci", "another guess")
    assert await rig.logins.rights_of("ci", "right") is PUSH
    rig.release.set()
    assert await asyncio.gather(*guesses) == [None, None]
    assert rig.attempts.waiting == 0


async def test_a_record_that_can_not_be_read_lets_nobody_in(
    metadata: Metadata, rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    metadata.logins["ci"] = RegistryAccess(rights=PUSH, password="")
    assert await rig.logins.rights_of("ci", "") is None
    assert "kept in an unknown form" in caplog.text
