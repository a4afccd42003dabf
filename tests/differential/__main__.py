"""`./dev differ -- docker ps -a`: start both engines, ask both, print both answers, end both.

It all happens on a little machine of its own, whose end ends what is left; the files are removed out here.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.machines import on_a_machine_of_its_own, why_not_beside

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "e2e")]

from differ.engines import both, missing
from differ.paste import NoQuestion, Question, ask, compared, question

_INSIDE = "--inside"
_BAD_USAGE = 2


def main(words: list[str]) -> int:
    """The exit code: 2 for wrong words, else 0, whatever the answers are."""
    directory = words[1] if words[:1] == [_INSIDE] else ""
    given = words[2:] if directory else words
    try:
        asked = question(given[1:] if given[:1] == ["--"] else given)
    except NoQuestion as error:
        print(error, file=sys.stderr)
        return _BAD_USAGE
    if lacking := missing():
        print(f"./dev differ: {lacking}", file=sys.stderr)
        return 1
    return _answer(asked, Path(directory)) if directory else _beside(given)


def _beside(words: list[str]) -> int:
    place = tempfile.mkdtemp(prefix="differ-")
    command = [sys.executable, "-m", "tests.differential", _INSIDE, place, *words]
    try:
        return subprocess.run(command if why_not_beside() else on_a_machine_of_its_own(*command)).returncode
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _answer(asked: Question, directory: Path) -> int:
    print("Starting dockerd and Seaway …", file=sys.stderr)
    with both(directory) as pair:
        docker, seaway = [pair.pool.submit(ask, engine, asked) for engine in (pair.docker, pair.seaway)]
        print(compared(docker.result(), seaway.result(), asked), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
