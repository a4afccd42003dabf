"""A service's settings, from flags, environment, a TOML file and defaults, in order of precedence."""

import argparse
import errno
import os
import re
import socket
import sys
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from seaway_contracts.catalogue import SERVICES
from seaway_contracts.ids import RESERVED_NODES, check_node
from seaway_kit.addresses import is_loopback, nats_endpoints
from seaway_kit.logs import LogFormat, LogLevel
from seaway_kit.metrics_ports import split_ports

S = TypeVar("S", bound="ServiceSettings")
ENV_PREFIX: Final = "SEAWAY_"


def default_node(hostname: str | None = None) -> str:
    """This machine's short host name, with what may not stand in a subject replaced by `-`."""
    name = (hostname if hostname is not None else socket.gethostname()).split(".")[0]
    name = re.sub(r"[^A-Za-z0-9_-]", "-", name)[:63] or "node"
    return f"{name}-node" if name in RESERVED_NODES else name


class ServiceSettings(BaseModel):
    """The settings of every service. Services derive from it and add fields of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    nats: str = Field("nats://127.0.0.1:4222", description="URL of the NATS server, or several separated by commas")
    nats_user: str = Field("", description="user name at the NATS server")
    nats_password_file: Path | None = Field(None, description="file that holds the password")
    nats_nkey_file: Path | None = Field(
        None, description="file that holds the seed of an nkey, by which to log in instead of by password"
    )
    nats_ca: Path | None = Field(
        None, description="CA (PEM) that has signed the certificates of the NATS server and of the image service"
    )
    root: Path = Field(Path("/var/lib/seaway"), description="directory for state")
    run: Path = Field(Path("/run/seaway"), description="directory for sockets and pids")
    streams: Path | None = Field(
        None, description="directory where services of one machine meet for byte streams, instead of `streams` in --run"
    )
    node: str = Field(default_factory=default_node, description="this node's name")
    metrics: str = Field(
        "",
        description="address of /metrics, /healthz and /readyz, HOST:PORT or HOST:FIRST-LAST; port 0 is any free one",
    )
    metrics_token_file: Path | None = Field(None, description="file with the token that /metrics asks its readers for")
    metrics_public: bool = Field(False, description="let everybody who reaches that address read /metrics")
    metrics_max_series: int = Field(100_000, gt=0, description="how many series /metrics has at most")
    log_level: LogLevel = Field("info", description="debug, info, warning or error")
    log_format: LogFormat = Field("text", description="text or json")

    @field_validator("node")
    @classmethod
    def _node_is_token(cls, value: str) -> str:
        return check_node(value)

    @field_validator("nats")
    @classmethod
    def _nats_is_url(cls, value: str) -> str:
        nats_endpoints(value)
        return value

    @field_validator("metrics")
    @classmethod
    def _metrics_is_address(cls, value: str) -> str:
        if value:
            split_ports(value)
        return value

    @model_validator(mode="after")
    def _metrics_are_closed(self) -> Self:
        local = not self.metrics or is_loopback(split_ports(self.metrics)[0])
        if local or self.metrics_token_file or self.metrics_public:
            return self
        raise ValueError(
            f"metrics at {self.metrics} would show other machines the names of containers and images: "
            "give --metrics-token-file, or --metrics-public, or listen on 127.0.0.1"
        )

    @field_validator("root", "run")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.absolute()

    def nats_password(self) -> str:
        """The password from its file; empty without one. Raises OSError."""
        return self.nats_password_file.read_text().strip() if self.nats_password_file else ""

    def nats_nkey(self) -> str:
        """The seed of the nkey from its file; empty without one. Raises OSError."""
        return self.nats_nkey_file.read_text().strip() if self.nats_nkey_file else ""

    def metrics_token(self) -> str:
        """The token from its file; empty without one. Raises OSError, also for an empty file."""
        return read_token(self.metrics_token_file) if self.metrics_token_file else ""


def read_token(path: Path) -> str:
    """The token for /metrics in a file. Raises OSError, also for an empty file."""
    if token := path.read_text().strip():
        return token
    raise OSError(errno.ENODATA, "it is empty: write the token for /metrics into it", str(path))


class WrongSettings(ValueError):
    """Invalid settings; the message is one line."""


def load_settings(
    cls: type[S], argv: Sequence[str] | None = None, *, prog: str, env: Mapping[str, str] | None = None
) -> S:
    """The settings of the service `prog` (`seaway-api`).

    Flags weigh more than `SEAWAY_<FIELD>` variables, those more than the file that `--config` names.
    A setting that is unknown or doesn't fit ends the process: one line on stderr, exit code 2.
    """
    try:
        return merge(cls, sys.argv[1:] if argv is None else argv, prog=prog, env=os.environ if env is None else env)
    except WrongSettings as error:
        print(f"{prog}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def merge(cls: type[S], argv: Sequence[str], *, prog: str, env: Mapping[str, str]) -> S:
    """As `load_settings`, but raises WrongSettings."""
    flags = vars(_parser(cls, prog).parse_args(list(argv)))
    config = flags.pop("config", None) or env.get(f"{ENV_PREFIX}CONFIG")
    layers: list[tuple[str, Mapping[str, Any]]] = [
        (f"{config}: ", _from_file(cls, Path(config), prog) if config else {}),
        (ENV_PREFIX, _from_env(cls, env)),
        ("--", flags),
    ]
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, values in layers:
        merged.update(values)
        origin.update(dict.fromkeys(values, where))
    return validated(cls, merged, origin)


def validated(cls: type[S], values: Mapping[str, Any], origin: Mapping[str, str] | None = None) -> S:
    """Settings from plain values; raises WrongSettings with one line. `origin` says where each value was found."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise WrongSettings("; ".join(_explain(one, origin or {}) for one in error.errors())) from None


def _explain(error: Any, origin: Mapping[str, str]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ").replace("\n", " ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    given = error.get("input")
    shown = f"{given!r}: " if isinstance(given, str) and repr(given) not in message else ""
    return f"{_spell(name, origin.get(name, '--'))}: {shown}{message}"


def _spell(name: str, where: str) -> str:
    """A setting's name as the user wrote it."""
    if where == "--":
        return "--" + name.replace("_", "-")
    return ENV_PREFIX + name.upper() if where == ENV_PREFIX else where + name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongSettings(f"{message} (see {self.prog} --help)")


def _parser(cls: type[ServiceSettings], prog: str) -> argparse.ArgumentParser:
    about = (cls.__doc__ or "").strip().splitlines()
    parser = _Parser(
        prog=prog,
        description=about[0] if about else None,
        epilog=f"Each setting can also be given as {ENV_PREFIX}<NAME> or in the TOML file. Flags weigh most.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings, by service or for all")
    for name, field in cls.model_fields.items():
        _add_flag(parser, name, field)
    return parser


def _add_flag(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    flag = "--" + name.replace("_", "-")
    about = _about(field)
    if _is(field, bool):
        parser.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, help=about)
    elif _is_many(field):
        parser.add_argument(flag, dest=name, action="append", metavar="VALUE", help=f"{about} (repeatable)")
    else:
        parser.add_argument(flag, dest=name, metavar="VALUE", help=about)


def _about(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True) if not field.is_required() else None
    default = ",".join(default) if isinstance(default, tuple) else default
    shown = "" if default in (None, "", (), False) else f" [{default}]"
    return f"{field.description or ''}{shown}".strip().replace("%", "%%")


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The field's type, or the alternatives of a union, without their parameters."""
    kind = field.annotation
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    members = typing.get_args(kind) if union else (kind,)
    return tuple(typing.get_origin(member) or member for member in members)


def _is(field: FieldInfo, kind: type) -> bool:
    return kind in _kinds(field)


def _is_many(field: FieldInfo) -> bool:
    return any(kind in (tuple, list, set, frozenset) for kind in _kinds(field))


def _from_env(cls: type[ServiceSettings], env: Mapping[str, str]) -> dict[str, Any]:
    """Values of the `SEAWAY_<FIELD>` variables. Others are left alone: all services share one environment."""
    found: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        text = env.get(ENV_PREFIX + name.upper())
        if text is not None:
            found[name] = [part.strip() for part in text.split(",") if part.strip()] if _is_many(field) else text
    return found


def _from_file(cls: type[ServiceSettings], path: Path, prog: str) -> dict[str, Any]:
    """The top-level settings and, over them, those of the table that bears the service's name."""
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise WrongSettings(f"can't read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSettings(f"{path} is not TOML: {error}") from None
    section = prog.removeprefix("seaway-")
    tables = {name: document.pop(name) for name in (*SERVICES, section) if isinstance(document.get(name), dict)}
    found: dict[str, Any] = document | tables.get(section, {})
    unknown = sorted(name for name in found if name not in cls.model_fields)
    if unknown:
        raise WrongSettings(f"{path}: {unknown[0]}: unknown setting (see {prog} --help)")
    return found
