"""What `./dev scale placement` simulates, on a small cluster."""

import pytest
from tests.scale.placement import Fill


@pytest.mark.parametrize("strategy", ["spread", "binpack", "random"])
def test_a_fill_places_every_container_and_never_over_a_reservation(strategy: str) -> None:
    fill = Fill(30, strategy)
    fill.run(900)
    assert fill.refused == 0
    assert sum(node.running for node in fill.nodes) == 900
    assert all(node.reserved <= node.whole.memory for node in fill.nodes)
