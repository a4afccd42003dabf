"""GET /seaway/asyncapi.json: the document of this release, whether the bus is there or not."""

from typing import Any

from seaway_contracts.asyncapi import render


async def test_the_document_is_served_with_and_without_the_bus(rig: Any) -> None:
    answer = await rig.call("GET", "/seaway/asyncapi.json")
    assert (answer.status, answer.body.decode()) == (200, render())
    rig.api.bus.transport.cut()
    assert (await rig.call("GET", "/seaway/asyncapi.json")).status == 200
    assert (await rig.call("GET", "/seaway/other.json")).status == 404
