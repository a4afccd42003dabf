"""The lab's directory and its command line; what it makes on the machine is in tests/e2e/test_lab.py."""

import json
import threading
from pathlib import Path

import pytest
from deploy.lab import Lab, LabError
from deploy.lab.__main__ import _with_up, main
from deploy.lab.machine import Machine


def test_of_two_labs_in_one_directory_one_is_refused(tmp_path: Path) -> None:
    labs = [Lab(tmp_path / "lab", hosts) for hosts in (1, 2, 3, 4)]
    claimed: list[Lab] = []

    def claim(lab: Lab) -> None:
        try:
            lab._claim()
        except LabError as error:
            assert "is in use: end the lab there with `./dev lab --directory" in str(error)
        else:
            claimed.append(lab)

    threads = [threading.Thread(target=claim, args=(lab,)) for lab in labs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = claimed
    state = json.loads((tmp_path / "lab" / "lab.json").read_text())
    assert len(state["hosts"]) == 1 + len(winner.nodes)


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(LabError, match="is in use"):
        Lab(tmp_path, 1).up()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text("")
    with pytest.raises(LabError, match=r"lab\.json is no record of a lab: remove it by hand"):
        Lab.opened(tmp_path)


def test_an_end_that_was_interrupted_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "kill", lambda self: None)
    lab = Lab(tmp_path / "lab", 2, outlives=True)
    lab._claim()
    for name in ("h1", "h2"):
        (tmp_path / "lab" / name).mkdir()
    with monkeypatch.context() as broken:
        broken.setattr("deploy.lab.lab.shutil.rmtree", lambda path: path.rmdir() if path.name == "h1" else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lab.down()
    assert not (tmp_path / "lab" / "h1").exists()
    Lab.opened(tmp_path / "lab").down()
    assert list(tmp_path.iterdir()) == []


def test_a_number_is_short_for_up() -> None:
    assert _with_up(["3"]) == ["up", "3"]
    assert _with_up(["--directory", "/x", "3"]) == ["--directory", "/x", "up", "3"]
    for words in (["down"], ["--directory", "3"], ["kill", "3"], ["--directory", "/x", "down"], []):
        assert _with_up(words) == words


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["0"], "a lab has 1 to 200 hosts, not 0"),
        (["500"], "a lab has 1 to 200 hosts, not 500"),
        (["up", "-1"], "a lab has 1 to 200 hosts, not -1"),
        (["foo"], "invalid choice: 'foo'"),
        (["up", "many"], "invalid int value"),
        ([], "required: COMMAND"),
    ],
)
def test_wrong_words(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr("deploy.lab.__main__.signal.signal", lambda *_: None)
    monkeypatch.setattr("deploy.lab.__main__.os.geteuid", lambda: 0)
    try:
        code = main(["--directory", str(tmp_path / "lab"), *words])
    except SystemExit as error:
        code = int(str(error.code))
    assert code == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_lab_needs_root(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.lab.__main__.signal.signal", lambda *_: None)
    monkeypatch.setattr("deploy.lab.__main__.os.geteuid", lambda: 1000)
    assert main(["--directory", str(tmp_path / "lab"), "3"]) == 1
    assert "the lab needs root" in capsys.readouterr().err
