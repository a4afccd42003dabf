"""The command line of the lab: `./dev lab`."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.lab.errors import LabError
from deploy.lab.lab import Lab

from seaway_cli import demo, demo_image
from seaway_cli.errors import CliError

_DIRECTORY: Final = Path("/var/lib/seaway-lab")


def up(directory: Path, hosts: int) -> None:
    """Bring a lab up, with an image in it; the last line printed is its endpoint."""
    lab = Lab(directory, hosts, outlives=True)
    lab.up()
    try:
        demo.ensure_image(demo.Api(lab.endpoint))
    except BaseException:
        lab.down()
        raise
    print(f"{hosts} hosts run, with the image {demo_image.NAME}; `./dev lab down` ends them. Their files: {directory}")
    print(lab.endpoint)


def change(directory: Path, words: argparse.Namespace) -> None:
    """Do something to a lab that is up."""
    lab = Lab.opened(directory)
    match words.command:
        case "down":
            lab.down()
        case "partition":
            lab.partition(words.one.split(","), words.other.split(","))
        case "heal":
            lab.heal()
        case "rate":
            lab.rate("" if words.rate == "none" else words.rate, *words.host)
        case "delay":
            lab.delay(words.milliseconds, *words.host)
        case "loss":
            lab.loss(words.percent, *words.host)
        case "kill":
            lab.kill(words.host)
        case "start":
            lab.start(words.host, wait=False)
        case "run":
            machine = lab.host(words.host).machine
            os.execv((command := machine.entered(*words.words))[0], command)


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = argparse.ArgumentParser(prog="./dev lab", description="Many hosts on one machine: docs/lab.md.")
    made.add_argument("--directory", type=Path, default=_DIRECTORY, help="where its files are [%(default)s]")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring N hosts up; `./dev lab N` is the same").add_argument("hosts", type=int)
    commands.add_parser("down", help="end all hosts and remove everything")
    partition = commands.add_parser("partition", help="part hosts from others, such as `h1,h2 h3`")
    partition.add_argument("one")
    partition.add_argument("other")
    commands.add_parser("heal", help="end all partitions")
    for name, value, kind, text in (
        ("rate", "rate", str, "limit the rate of links, such as 10mbit; none: no limit"),
        ("delay", "milliseconds", float, "delay what passes links"),
        ("loss", "percent", float, "lose some of what passes links"),
    ):
        quality = commands.add_parser(name, help=text)
        quality.add_argument(value, type=kind)
        quality.add_argument("host", nargs="*", help="[all]")
    commands.add_parser("kill", help="cut a host's power").add_argument("host")
    commands.add_parser("start", help="boot a host that was killed").add_argument("host")
    run = commands.add_parser("run", help="run a command on a host")
    run.add_argument("host")
    run.add_argument("words", nargs=argparse.REMAINDER)
    return made


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 done, 1 failed, 2 wrong usage."""
    words = parser().parse_args(_with_up(argv))
    for number in (signal.SIGTERM, signal.SIGHUP):  # a lab that is half up is taken down, as after Ctrl-C
        signal.signal(number, _end)
    try:
        if os.geteuid() != 0:
            raise LabError("the lab needs root: it makes namespaces and cgroups")
        if words.command == "up":
            up(words.directory, words.hosts)
        else:
            change(words.directory, words)
    except ValueError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except (LabError, CliError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if (words.directory / "lab.json").exists():
            print("lab: interrupted; `down` removes what is left", file=sys.stderr)
        return 130
    return 0


def _with_up(argv: Sequence[str]) -> list[str]:
    """`3` is `up 3`, also after `--directory DIR`."""
    at = 2 if argv[:1] == ["--directory"] else 0
    return [*argv[:at], "up", *argv[at:]] if len(argv) == at + 1 and argv[at].isdigit() else list(argv)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
