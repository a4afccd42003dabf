"""What is made equal, what counts as a difference, and what a known one covers. Pure: no engine is started."""

from typing import Any

from differ.compare import ABSENT, Difference, differences
from differ.known import Known
from differ.normal import Normal
from differ.run import without_echo
from differ.scripts import all_scripts

ID = "0123456789ab" + "c" * 52


def normal(**kept: str) -> Normal:
    made = Normal("/tmp/x")
    made.learn(kept)
    return made


def test_what_was_kept_gets_its_name() -> None:
    assert normal(c=ID).value({"Id": ID, "Hostname": ID[:12], "Text": f"container {ID} ends"}) == {
        "Id": "<c>",
        "Hostname": "<c:12>",
        "Text": "container <c> ends",
    }


def test_of_two_ids_with_one_beginning_the_first_has_the_short_form() -> None:
    other = ID[:12] + "d" * 52
    assert normal(c=ID, x=other).text(f"{other} {ID[:12]}") == "<x> <c:12>"


def test_short_values_are_replaced_only_as_a_whole() -> None:
    assert normal(pid="17").value(["17", "117"]) == ["<pid>", "117"]


def test_times_paths_and_other_ids() -> None:
    assert normal().text(f"2024-05-06T07:08:09.123Z /tmp/x/run {'e' * 64}") == "<time> <engine>/run <id>"


def test_zero_is_kept_where_values_are_masked() -> None:
    zero = {"Pid": 0, "LogPath": "", "StartedAt": "0001-01-01T00:00:00Z"}
    assert normal().value(zero) == zero
    assert normal().value({"Pid": 5, "LogPath": "/a"}) == {"Pid": "<Pid>", "LogPath": "<LogPath>"}


def test_digests_of_images_are_compared() -> None:
    assert normal().text(f"sha256:{'e' * 64}") == f"sha256:{'e' * 64}"


def test_places_of_differences() -> None:
    docker = {"1 GET /x": {"status": 200, "headers": {}, "body": {"a": [1, 2], "b": None}}}
    seaway = {"1 GET /x": {"status": 200, "headers": {}, "body": {"a": [1, 3], "c": []}}}
    assert [(found.where, found.docker, found.seaway) for found in differences("g/n", docker, seaway)] == [
        ("1 GET /x body a 1", 2, 3),
        ("1 GET /x body b", None, ABSENT),
        ("1 GET /x body c", ABSENT, []),
    ]


def test_null_empty_and_false_are_different() -> None:
    values = (None, [], {}, "", 0, False)
    for number, one in enumerate(values):
        for other in values[number + 1 :]:
            assert differences("g/n", {"a": one}, {"a": other}), (one, other)


def test_another_status_is_one_difference() -> None:
    docker = {"1 GET /x": {"status": 404, "headers": {}, "body": {"message": "no"}}}
    seaway = {"1 GET /x": {"status": 200, "headers": {"a": "b"}, "body": [1]}}
    assert [str(found.docker) for found in differences("g/n", docker, seaway)] == ["404 no"]


def test_of_two_refusals_the_words_count_too() -> None:
    docker = {"1 GET /x": {"status": 500, "headers": {}, "body": {"message": "no"}}}
    seaway = {"1 GET /x": {"status": 400, "headers": {}, "body": {"message": "never"}}}
    assert [(found.where, found.docker, found.seaway) for found in differences("g/n", docker, seaway)] == [
        ("1 GET /x status", 500, 400),
        ("1 GET /x body message", "no", "never"),
    ]


def test_what_events_say_is_compared_where_both_have_them() -> None:
    docker = {"events": {"order": ["a", "b"], "said": {"a #1": {"x": 1}, "b #1": {}}}}
    seaway = {"events": {"order": ["a"], "said": {"a #1": {"x": 2}}}}
    assert [found.where for found in differences("g/n", docker, seaway)] == ["events order", "events said a #1 x"]


def test_a_known_difference_covers_what_its_patterns_fit() -> None:
    known = Known("a reason", "* answer", "create*/*", "500 *", "400 *")
    assert known.covers(Difference("create_host/x 1", "1 POST /y answer", "500 a", "400 b"))
    assert not known.covers(Difference("create/x 1", "1 POST /y answer", "500 a", "500 b"))
    assert not known.covers(Difference("logs/x 1", "1 POST /y answer", "500 a", "400 b"))


def test_an_echo_of_a_pause_is_no_second_one() -> None:
    def told(*actions: str) -> list[dict[str, Any]]:
        return [{"Action": action, "Actor": {"ID": ID}} for action in actions]

    once = told("start", "pause", "unpause", "kill")
    assert without_echo(told("start", "pause", "unpause", "pause", "unpause", "kill")) == once == without_echo(once)
    paused = told("pause", "unpause", "pause", "kill", "unpause")
    assert without_echo(paused) == paused


def test_scripts_have_addresses_of_their_own() -> None:
    scripts = all_scripts()
    assert {address.split("/")[0] for address in scripts} == {"cli"}
    assert len(set(scripts.values())) == len(scripts) > 150
    assert all("docker" in script for script in scripts.values())
