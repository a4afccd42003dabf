"""Every scenario on both engines: nothing differs but what is known."""

import pytest
from differ.cases import all_cases
from differ.known import AWAITED, KNOWN
from differ.pair import Pair

CASES = all_cases()


@pytest.mark.parametrize("address", CASES)
def test_the_same_as_docker(pair: Pair, address: str) -> None:
    found = pair.compare(address, CASES[address])
    unknown = [difference for difference in found if not any(known.covers(difference) for known in KNOWN)]
    if unknown and not AWAITED.isdisjoint((address, address.partition("/")[0])):
        pytest.xfail("\n".join(map(str, unknown)))
    if unknown:
        pytest.fail("\n".join(map(str, unknown)), pytrace=False)


@pytest.mark.looks_back
def test_known_differences_still_occur(pair: Pair) -> None:
    """Judges only what has been run: with `-k` or a single file, that is less."""
    gone = [
        known
        for known in KNOWN
        if all(address in pair.found for address in CASES if known.speaks_of(address))
        and not any(known.covers(difference) for found in pair.found.values() for difference in found)
    ]
    if gone:
        listed = "\n".join(map(str, gone))
        pytest.fail(f"these differences are no longer there, take them out of known.toml:\n{listed}", pytrace=False)
