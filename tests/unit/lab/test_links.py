"""Addresses, qualities of links, and the words of tc and nft for them."""

import pytest
from deploy.lab.links import Link, address_of, cuts_between, host_names, mac_of, queue_disciplines, ruleset


def test_hosts_have_addresses() -> None:
    assert [address_of(name) for name in host_names(2)] == ["198.19.0.1", "198.19.0.2"]
    assert address_of(host_names(200)[-1]) == "198.19.0.200"
    assert mac_of("h200") == "02:00:00:00:00:c8"


@pytest.mark.parametrize("count", [0, -1, 201])
def test_a_lab_has_a_number_of_hosts(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 200 hosts"):
        host_names(count)


@pytest.mark.parametrize("rate", ["10", "0mbit", "10 mbit", "-1mbit", "fast", "1.5gbit"])
def test_a_bad_rate_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match=r"write it as 500kbit, 10mbit or 1gbit"):
        Link(rate=rate)


def test_bad_qualities_are_refused() -> None:
    for made in (lambda: Link(delay_ms=-1), lambda: Link(delay_ms=float("nan")), lambda: Link(loss_percent=100.1)):
        with pytest.raises(ValueError, match="it may be from 0 to"):
            made()


def test_a_plain_link_has_no_queue_discipline() -> None:
    assert queue_disciplines("eth0", Link(loss_percent=5)) == []


def test_a_rate_passes_what_comes_in_a_tick_at_once() -> None:
    (slow,), (fast,) = (queue_disciplines("eth0", Link(rate=rate)) for rate in ("1mbit", "1gbit"))
    assert slow[:7] == ["tc", "qdisc", "add", "dev", "eth0", "root", "handle"]
    assert slow[slow.index("burst") + 1] == str(32 << 10)
    assert fast[fast.index("burst") + 1] == "1250000"


def test_a_rate_stands_below_a_delay() -> None:
    delay, rate = queue_disciplines("h2", Link(rate="10mbit", delay_ms=2.5))
    assert delay[5:] == ["root", "handle", "1:", "netem", "delay", "2.5ms", "limit", "100000"]
    assert rate[5:11] == ["parent", "1:1", "handle", "2:", "tbf", "rate"]


def test_a_cut_drops_both_directions() -> None:
    text = ruleset({frozenset(("h1", "h2"))}, {"h1": Link()})
    assert 'iifname "h1" oifname "h2" drop' in text
    assert 'iifname "h2" oifname "h1" drop' in text
    assert "numgen" not in text


def test_no_cuts_leave_no_rules() -> None:
    assert "drop" not in ruleset((), {"h1": Link(rate="1mbit")})


def test_loss_is_by_chance_in_both_directions() -> None:
    text = ruleset((), {"h2": Link(loss_percent=0.5)})
    assert 'iifname "h2" numgen random mod 10000 < 50 drop' in text
    assert 'oifname "h2" numgen random mod 10000 < 50 drop' in text


def test_all_is_lost_without_chance() -> None:
    assert 'iifname "h2" drop' in ruleset((), {"h2": Link(loss_percent=100)})


def test_partitions_are_between_all_of_both_sides() -> None:
    cuts = cuts_between(["h1", "h2"], ["h3"])
    assert cuts == {frozenset(("h1", "h3")), frozenset(("h2", "h3"))}
    with pytest.raises(ValueError, match="h2 is on both sides"):
        cuts_between(["h1", "h2"], ["h2"])
