"""The page on configuration has every setting of every service, with its default, and no other."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from seaway_agent.settings import AgentSettings
from seaway_api.settings import ApiSettings
from seaway_cli.main import app
from seaway_cli.permissions import node_subjects
from seaway_contracts.ids import RESERVED_NODES
from seaway_image.settings import ImageSettings
from seaway_kit.settings import ServiceSettings
from seaway_metadata.settings import MetadataSettings
from seaway_scheduler.settings import SchedulerSettings

PAGE: Final = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
_ROW: Final = re.compile(r"^\| `--([\w-]+)` \| `SEAWAY_(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)
_IN_WORDS: Final = {"node": "the host's name", "metrics": "a port of its own on loopback"}
KINDS: Final[dict[str, type[ServiceSettings]]] = {
    "All services": ServiceSettings,
    "seaway-api": ApiSettings,
    "seaway-image": ImageSettings,
    "seaway-metadata": MetadataSettings,
    "seaway-scheduler": SchedulerSettings,
    "seaway-agent": AgentSettings,
}


def _section(title: str) -> str:
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


def _own(kind: type[ServiceSettings]) -> dict[str, Any]:
    inherited = ServiceSettings.model_fields if kind is not ServiceSettings else {}
    return {name: field for name, field in kind.model_fields.items() if name not in inherited}


@pytest.mark.parametrize("title", KINDS)
def test_each_setting_has_a_row_with_its_default(title: str) -> None:
    rows = {variable.lower(): (flag, default) for flag, variable, default in _ROW.findall(_section(title))}
    fields = _own(KINDS[title])
    assert set(rows) == set(fields)
    for name, field in fields.items():
        default = field.get_default(call_default_factory=True)
        default = ",".join(default) if isinstance(default, tuple) else default
        shown = _IN_WORDS.get(name) or ("none" if default in ("", None, ()) else f"`{default}`")
        assert rows[name] == (name.replace("_", "-"), shown)


def test_each_option_of_up_has_a_row() -> None:
    command: Any = typer.main.get_command(app)
    options = {option for parameter in command.commands["up"].params for option in parameter.opts} - {"--help"}
    shown = re.findall(r"^\| ((?:`-[\w-]+` ?)+)\|", _section("seaway up"), re.MULTILINE)
    assert {option.strip("`") for cell in shown for option in cell.split()} == options


def test_names_that_no_node_may_have_are_named() -> None:
    paragraph = re.search(r"Some names mean something else and are refused: (.*?)\n\n", PAGE, re.DOTALL)
    assert paragraph
    assert set(re.findall(r"`(\w+)`", paragraph[1])) == RESERVED_NODES


def test_the_subjects_between_a_node_and_the_services_are_those_of_its_account() -> None:
    rows = re.findall(r"^\| `(seaway\.v1\.node\.\S+)` \| (to|from) ", PAGE, re.MULTILINE)
    subjects = node_subjects("NAME")
    assert {subject for subject, way in rows if way == "to"} == set(subjects.hears)
    assert {subject for subject, way in rows if way == "from"} == {subjects.asks, subjects.tells}
