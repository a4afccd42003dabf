"""Ports for what tests start."""

import socket
from pathlib import Path

import pytest

from seaway_testing import ports
from seaway_testing.ports import free_port, free_ports


def test_they_follow_one_another_and_can_be_had() -> None:
    first, second = free_ports(2)
    assert second == first + 1
    with socket.create_server(("127.0.0.1", first)), socket.create_server(("127.0.0.1", second)):
        pass


def test_the_kernel_deals_out_none_of_them() -> None:
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert {free_port() < least for _ in range(50)} == {True}


def test_one_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_ports(2)
    monkeypatch.setattr(ports, "_FIRST", taken)
    monkeypatch.setattr(ports, "_LAST", free)
    with socket.create_server(("127.0.0.1", taken)):
        assert {free_port() for _ in range(20)} == {free}
