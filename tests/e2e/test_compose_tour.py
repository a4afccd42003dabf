"""The tour of docs/compose.md, typed as it stands there: it prints what the page says."""

import re
from pathlib import Path

import pytest
from e2e_rig.tour import Step, blocks
from test_readme import Reader, reader

__all__ = ["reader"]
pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.timeout(300)]
_PAGE = Path(__file__).parents[2] / "docs" / "compose.md"
_FILE = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_tour(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    document = _FILE.findall(_PAGE.read_text())[0]  # of the tour; later ones are examples
    (tmp_path / "shop" / "compose.yaml").write_text(document)
    reader.told("./dev up")
    top = reader.told("pwd")
    reader.type(Step(f"cd {tmp_path}/shop"))
    try:
        for block in blocks(_PAGE):
            before = len(reader.seen())
            for step in block.steps:
                if not reader.follow(step, before):
                    where = f"{_PAGE.name}'s block at line {block.line}: {step.command}"
                    pytest.fail(f"{where}\nprinted {reader.seen()[before:]}\nnot {step.printed}", pytrace=False)
        assert reader.told("docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom") == ""
    finally:
        reader.type(Step(f"cd {top}"))
