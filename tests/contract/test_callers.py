"""Who calls what: the catalogue says it, permissions on the bus derive from it, and the code must not do more."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_contracts import catalogue
from seaway_contracts.channels import CallChannel, Role

_ROOT = Path(__file__).parents[2]
_CALLS = {name: value for name, value in vars(catalogue).items() if isinstance(value, CallChannel)}
_PACKAGES = {role: [_ROOT / "services" / f"seaway_{role.value}"] for role in Role}
_PACKAGES[Role.API].append(_ROOT / "common" / "seaway_cluster")


def _used(package: Path) -> Iterator[tuple[str, Path]]:
    """The request channels that a package names, and where."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in _CALLS:
                yield name, path


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CLI])  # its commands log in as the API
def test_each_service_uses_only_what_it_owns_or_may_call(role: Role) -> None:
    used = [one for package in _PACKAGES[role] for one in _used(package)]
    wrong = [(name, str(path.relative_to(_ROOT))) for name, path in used if role not in _may_use(_CALLS[name])]
    assert wrong == []


def _may_use(call: CallChannel) -> set[Role]:
    return {call.owner, *call.callers}
