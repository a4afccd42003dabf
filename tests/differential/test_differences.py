"""Every scenario on both engines: nothing differs but what is known."""

import pytest
from differ.cases import all_cases
from differ.known import KNOWN, is_awaited, unknown
from differ.pair import Pair
from differ.scripts import all_scripts

CASES = all_cases()
SCRIPTS = all_scripts()


@pytest.mark.parametrize("address", CASES)
def test_the_same_as_docker(pair: Pair, address: str) -> None:
    found = unknown(pair.compare(address, CASES[address]))
    if found and is_awaited(address):
        pytest.xfail("\n".join(map(str, found)))
    if found:
        pytest.fail("\n".join(map(str, found)), pytrace=False)


@pytest.mark.parametrize("address", SCRIPTS)
def test_the_docker_command_prints_the_same(pair: Pair, address: str) -> None:
    found = unknown(pair.compare_commands(address, SCRIPTS[address]))
    if found and is_awaited(address):
        pytest.xfail("\n".join(map(str, found)))
    if found:
        pytest.fail("\n".join([SCRIPTS[address], *map(str, found)]), pytrace=False)


@pytest.mark.looks_back
def test_known_differences_still_occur(pair: Pair) -> None:
    """Judges only what has been run: with `-k` or a single file, that is less. Alone it judges nothing."""
    if not pair.found:
        pytest.skip("no scenario was run")
    gone = [
        known
        for known in KNOWN
        if all(address in pair.found for address in (*CASES, *SCRIPTS) if known.speaks_of(address))
        and not any(known.covers(difference) for found in pair.found.values() for difference in found)
    ]
    if gone:
        listed = "\n".join(map(str, gone))
        pytest.fail(f"these differences are no longer there, take them out of known.toml:\n{listed}", pytrace=False)
