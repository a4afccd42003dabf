from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.errors import InvalidParameter
from seaway_docker.timestamps import (
    HOUR,
    SECOND,
    go_duration,
    parse_duration,
    parse_rfc3339nano,
    parse_timestamp,
    rfc3339nano,
    rfc3339nano_fixed,
)

NOW = 1_700_000_000 * SECOND
DAY = int(datetime(2006, 1, 2, tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000", NOW),
        ("1700000000.123456789", NOW + 123456789),
        ("1.5", 1_500_000_000),
        ("0", 0),
        ("-1", -SECOND),
        ("+5", 5 * SECOND),
        ("1.5555555555555", 1_555_555_555),
        ("2006", 2006 * SECOND),
        ("1h30m", NOW - 5400 * SECOND),
        ("-1h", NOW + HOUR),
        ("300ms", NOW - 300_000_000),
        ("1.5s", NOW - 1_500_000_000),
        ("2µs", NOW - 2000),
        ("2006-01-02", DAY),
        ("2006-01-02Z", DAY),
        ("2006-01-02T15", DAY + 15 * HOUR),
        ("2006-01-02T15:04", DAY + 54240 * SECOND),
        ("2006-01-02T15:04:05", DAY + 54245 * SECOND),
        ("2006-01-02T15:04:05.5", DAY + 54245 * SECOND + 500_000_000),
        ("2006-01-02T15:04:05Z", DAY + 54245 * SECOND),
        ("2006-01-02T15:04:05.5+02:00", DAY + 47045 * SECOND + 500_000_000),
        ("2006-01-02T15:04Z", DAY + 54240 * SECOND),
        ("2006-01-02T00:00:00-01:30", DAY + 5400 * SECOND),
    ],
)
def test_accepted(text: str, expected: int) -> None:
    assert parse_timestamp(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zz",
        "1.x",
        "1.",
        ".5",
        "1_0",
        "0x10",
        "1e3",
        "1h30",
        "2006-13-02",
        "2006-01",
        "2006-02-30",
        "1 h",
        "٣",
        "9" * 99,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_timestamp(text, NOW)
    assert str(caught.value) == f'failed to parse value as time or duration: "{text}"'


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOW + 120_000_000, "2023-11-14T22:13:20.12Z"),
        (NOW + 1, "2023-11-14T22:13:20.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_rfc3339nano_cuts_zeros_as_go_does(ns: int, text: str) -> None:
    assert rfc3339nano(ns) == text
    assert parse_rfc3339nano(text) == ns


def test_log_stamps_have_nine_digits() -> None:
    assert rfc3339nano_fixed(NOW + 120_000_000) == "2023-11-14T22:13:20.120000000Z"


def test_bad_rfc3339() -> None:
    with pytest.raises(InvalidParameter, match='parsing time "2006-01-02"'):
        parse_rfc3339nano("2006-01-02")


@pytest.mark.parametrize(
    ("text", "ns"), [("0", 0), ("1m", 60 * SECOND), ("1h0.5m", HOUR + 30 * SECOND), ("-2s", -2 * SECOND)]
)
def test_durations(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1h ", "--1h", "9" * 30 + "h", "1" * 200 + "s"])
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None


@given(st.integers(-62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1))
def test_every_moment_reads_back(ns: int) -> None:
    assert parse_rfc3339nano(rfc3339nano(ns)) == ns
    assert parse_rfc3339nano(rfc3339nano_fixed(ns)) == ns
    assert parse_timestamp(rfc3339nano(ns), NOW) == ns


@given(st.integers(0, 2**62))
def test_unix_form_reads_back(ns: int) -> None:
    assert parse_timestamp(f"{ns // SECOND}.{ns % SECOND:09d}", NOW) == ns


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_an_error(text: str) -> None:
    try:
        assert isinstance(parse_timestamp(text, NOW), int)
    except InvalidParameter:
        pass


@pytest.mark.parametrize(
    ("span_ns", "text"),
    [
        (0, "0s"),
        (15, "15ns"),
        (1_500, "1.5µs"),
        (500_000_000, "500ms"),
        (2_500_000, "2.5ms"),
        (SECOND, "1s"),
        (1_500_000_000, "1.5s"),
        (90 * SECOND, "1m30s"),
        (2 * HOUR, "2h0m0s"),
        (HOUR + 1, "1h0m0.000000001s"),
    ],
)
def test_a_span_as_go_prints_it(span_ns: int, text: str) -> None:
    assert go_duration(span_ns) == text


@given(st.integers(0, 10**18))
def test_what_go_prints_go_reads(span_ns: int) -> None:
    assert parse_duration(go_duration(span_ns)) == span_ns
