"""Where the Docker API may listen: `unix://PATH`, `tcp://ADDRESS:PORT`. Pure."""

from typing import Final

from seaway_kit.addresses import is_loopback, split_address

UNIX: Final = "unix://"
TCP: Final = "tcp://"
_LONGEST_PATH: Final = 107  # sockaddr_un.sun_path


def check_host(host: str, *, verified: bool, needs: str) -> None:
    """Raise ValueError for an endpoint that can't be, or that would be open to anybody who can reach it.

    `verified`: whether clients must have a certificate. `needs`: how to require one, in the caller's words.
    """
    if host.startswith(UNIX):
        _check_path(host, host.removeprefix(UNIX))
    elif host.startswith(TCP):
        _check_address(host, verified, needs)
    else:
        raise ValueError(f"{host}: write unix:///PATH or tcp://ADDRESS:PORT")


def _check_path(host: str, path: str) -> None:
    if not path.startswith("/"):
        raise ValueError(f"{host}: the path must begin with / (unix:///run/seaway/docker.sock)")
    length = len(path.encode())
    if length > _LONGEST_PATH:
        raise ValueError(f"{host}: a socket's path may have {_LONGEST_PATH} bytes, this one has {length}")


def _check_address(host: str, verified: bool, needs: str) -> None:
    try:
        address, _ = split_address(host.removeprefix(TCP))
    except ValueError as error:
        raise ValueError(f"{host}: {error}") from None
    if not verified and not is_loopback(address):
        raise ValueError(
            f"{host} is reachable from other machines, and whoever reaches it is root on every node: "
            f"give {needs}, or listen on 127.0.0.1"
        )
