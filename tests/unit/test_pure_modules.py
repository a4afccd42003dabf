"""Every module that calls itself pure is held to it by import-linter."""

import ast
import configparser
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_SAYS_SO: Final = re.compile(r"\bpure\b", re.IGNORECASE)
_TELLS_OF_OTHERS: Final = {"seaway_agent.network"}


def says_that_it_is_pure() -> set[str]:
    found = set()
    for base in (ROOT / "common", ROOT / "services"):
        for path in base.rglob("*.py"):
            if _SAYS_SO.search(ast.get_docstring(ast.parse(path.read_text())) or ""):
                found.add(".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"))
    return found - _TELLS_OF_OTHERS


def held_to_it() -> set[str]:
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter")
    return set(rules["importlinter:contract:pure"]["source_modules"].split())


def test_pure_modules_are_listed() -> None:
    held = held_to_it()
    free = {name for name in says_that_it_is_pure() if not any(f"{name}.".startswith(f"{one}.") for one in held)}
    assert not free
