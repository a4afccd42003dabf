import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from seaway_api.cache.images import ImageCache
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import ImageList, ListImages
from seaway_testing import builders

ONE, TWO, THREE = (builders.image(number, created_ns=number) for number in (1, 2, 3))


class Service:
    """Stands for the bus, with the image service behind it: gives these answers."""

    def __init__(self, *answers: ImageList | Callable[[], ImageList]) -> None:
        self.answers = list(answers)
        self.asked: list[ListImages] = []

    async def call(self, _: object, request: ListImages) -> ImageList:
        self.asked.append(request)
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        return answer() if callable(answer) else answer


async def ids(cache: ImageCache, service: Any) -> list[str]:
    return [one.id for one in (await cache.current(service)).images]


async def test_only_changes_are_read_anew() -> None:
    cache = ImageCache()
    service = Service(
        ImageList(images=(TWO,), next="x", version="e.1"),
        ImageList(images=(ONE,), version="e.2"),
        ImageList(images=(THREE,), gone=(ONE.id,), version="e.5", partial=True),
        ImageList(version="e.5", partial=True),
        ImageList(images=(ONE,), version="f.1"),
    )
    assert await ids(cache, service) == [TWO.id, ONE.id]
    assert await ids(cache, service) == [THREE.id, TWO.id]
    kept = cache.known
    assert await cache.current(service) is kept  # type: ignore[arg-type]
    assert await ids(cache, service) == [ONE.id], "a service that has begun anew gives all"
    assert [(one.since, one.after) for one in service.asked] == [
        ("", ""), ("", "x"), ("e.1", ""), ("e.5", ""), ("e.5", "")
    ]  # fmt: skip


async def test_who_waits_shares_a_reading_that_began_after_he_came() -> None:
    cache = ImageCache()
    service = Service(*(ImageList(images=(ONE,), version="e.1") for _ in range(2)))
    found = await asyncio.gather(*(ids(cache, service) for _ in range(10)))
    assert found == [[ONE.id]] * 10
    assert len(service.asked) == 2


async def test_a_failed_reading_is_nobodys_answer() -> None:
    def fail() -> ImageList:
        raise SeawayError(Code.UNAVAILABLE, "away")

    cache = ImageCache()
    service = Service(fail, fail, ImageList(images=(ONE,), version="e.1"))
    done = await asyncio.gather(*(ids(cache, service) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in done] == [SeawayError, SeawayError, list]


@pytest.mark.parametrize("version", ["", "e.1"])
async def test_a_service_that_knows_no_versions_is_asked_for_all(version: str) -> None:
    cache = ImageCache()
    service = Service(ImageList(images=(ONE,), version=version), ImageList(images=(TWO,), version=version))
    assert await ids(cache, service) == [ONE.id]
    assert await ids(cache, service) == [TWO.id]
