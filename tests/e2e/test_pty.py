"""Sessions on a real terminal, as a person at a keyboard has them (pexpect drives the docker command)."""

import signal
from collections.abc import Callable, Iterator

import pexpect
import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.waits import eventually

PROMPT = "# "
DETACH = "\x10\x11"
Session = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def session(cli: DockerCli) -> Iterator[Session]:
    """Starts `docker …` on a terminal of 30 rows and 100 columns; all are closed at the end."""
    spawned: list[pexpect.spawn[str]] = []

    def start(*words: str) -> "pexpect.spawn[str]":
        environment = dict(cli.environment)
        child: pexpect.spawn[str] = pexpect.spawn(
            "docker", list(words), env=environment, timeout=20, encoding="utf-8", dimensions=(30, 100)
        )
        child.delaybeforesend = None
        spawned.append(child)
        return child

    yield start
    for child in spawned:
        child.close(force=True)


@pytest.fixture
def shell(cli: DockerCli, name: str) -> str:
    """The name of a container with a shell on a terminal, detached."""
    cli("run", "-dit", "--network", "none", "--name", name, "busybox", "sh")
    return name


def ended(child: "pexpect.spawn[str]") -> int:
    """Its exit code, once it has ended."""
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus is not None, child.signalstatus
    return child.exitstatus


def window(child: "pexpect.spawn[str]") -> tuple[int, int]:
    """What the program at the other end takes for the window's size."""
    child.sendline("stty size")
    child.expect(r"\n(\d+) (\d+)\r\n")
    assert child.match is not None and not isinstance(child.match, int | type)
    return int(child.match[1]), int(child.match[2])


def running(cli: DockerCli, container: str) -> bool:
    """Whether it goes on."""
    return cli("inspect", container, "--format", "{{.State.Running}}").out == "true"


# --- docker run -it


def test_run_echoes_and_gives_the_exit_code(session: Session) -> None:
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh")
    child.expect(PROMPT)
    child.sendline("echo $((6*7))")
    child.expect(r"echo \$\(\(6\*7\)\)\r\n42\r\n")
    child.sendline("exit 17")
    assert ended(child) == 17


def test_run_has_the_size_of_the_window_and_follows_it(session: Session) -> None:
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh")
    child.expect(PROMPT)
    eventually(lambda: window(child) == (30, 100), "the window's size")
    child.setwinsize(44, 132)
    child.kill(signal.SIGWINCH)
    eventually(lambda: window(child) == (44, 132), "the window's new size")


def test_a_program_is_told_that_the_window_has_changed(session: Session) -> None:
    script = "trap 'echo changed $(stty size)' WINCH; echo up; while :; do sleep 0.05; done"
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    child.expect("up\r\n")
    child.setwinsize(12, 34)

    def told() -> bool:
        child.kill(signal.SIGWINCH)  # once more: the command may not have listened yet
        return child.expect(["changed 12 34\r\n", pexpect.TIMEOUT], timeout=0.3) == 0

    eventually(told, "word of the new size")


def test_run_control_c_reaches_the_program(session: Session) -> None:
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh")
    child.expect(PROMPT)
    child.sendline("sh -c 'echo up; exec sleep 60'")
    child.expect("\nup\r\n")
    child.sendintr()
    child.expect(PROMPT)
    child.sendline("echo status $?")
    child.expect(r"status 130\r\n")


def test_run_control_d_ends_the_shell(session: Session) -> None:
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh")
    child.expect(PROMPT)

    def gone() -> bool:
        child.sendeof()  # once more: the shell prints its prompt before it listens
        return child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0.3) == 0

    eventually(gone, "the end of the shell")
    assert ended(child) == 0


def test_control_z_and_control_backslash_are_the_programs(session: Session) -> None:
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh")
    child.expect(PROMPT)
    child.sendline("sh -c 'echo up; exec cat'")
    child.expect("\nup\r\n")
    child.sendcontrol("\\")
    child.expect(PROMPT)
    child.sendline("echo $?")
    child.expect("131\r\n")


def test_a_password_is_not_echoed(session: Session) -> None:
    script = "stty -echo; printf 'password: '; read word; stty echo; echo; echo got $word"
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    child.expect("password: ")
    eventually(lambda: child.sendline("hidden") or True, "a line")
    child.expect(r"\r\ngot hidden\r\n")
    assert "hidden" not in (child.before or "")
    assert ended(child) == 0


def test_much_typing_and_much_output(session: Session) -> None:
    child = session("run", "-it", "--rm", "--network", "none", "busybox", "sh")
    child.expect(PROMPT)
    child.sendline("seq 1 5000 | tail -n 1; echo " + "x" * 900)
    child.expect(r"5000\r\nx{900}\r\n")


def test_detach_keys_leave_it_running(session: Session, cli: DockerCli, name: str) -> None:
    child = session("run", "-it", "--network", "none", "--name", name, "busybox", "sh")
    child.expect(PROMPT)
    child.send(DETACH)
    assert ended(child) == 0
    assert running(cli, name)


def test_the_first_detach_key_alone_is_the_programs(session: Session) -> None:
    child = session(
        "run", "-it", "--rm", "--network", "none", "busybox", "sh", "-c", "stty raw -echo; head -c 2 | od -c"
    )
    child.expect([r".", pexpect.TIMEOUT], timeout=0.5)
    child.send("\x10x")
    child.expect("020 +x")


# --- docker attach


def test_attach_sees_and_types(session: Session, shell: str, cli: DockerCli) -> None:
    child = session("attach", shell)
    child.sendline("echo $((40+2)) is here")
    child.expect(r"\n42 is here\r\n")
    child.send(DETACH)
    ended(child)
    assert running(cli, shell)


def test_attach_with_other_detach_keys(session: Session, shell: str, cli: DockerCli) -> None:
    child = session("attach", "--detach-keys", "ctrl-x,q", shell)
    child.sendline("echo $((40+2)) is here")
    child.expect(r"\n42 is here\r\n")
    child.send("\x18q")
    ended(child)
    assert running(cli, shell)


def test_attach_gives_the_exit_code(session: Session, shell: str) -> None:
    child = session("attach", shell)
    child.sendline("exit 9")
    assert ended(child) == 9


def test_attach_brings_its_window_along(session: Session, shell: str) -> None:
    child = session("attach", shell)
    eventually(lambda: window(child) == (30, 100), "the window's size")


def test_two_terminals_on_one_container(session: Session, shell: str) -> None:
    one, two = session("attach", shell), session("attach", shell)
    one.sendline("echo from $((0+1))")
    one.expect(r"\nfrom 1\r\n")
    two.sendline("echo from $((1+1))")
    for child in (one, two):
        child.expect(r"\nfrom 2\r\n")


# --- docker start -ai


def test_start_attached(session: Session, cli: DockerCli, name: str) -> None:
    cli("create", "-it", "--network", "none", "--name", name, "busybox", "sh")
    child = session("start", "-ai", name)
    child.expect(PROMPT)
    child.sendline("exit 6")
    assert ended(child) == 6


# --- docker exec -it


def test_exec_echoes_and_gives_the_exit_code(session: Session, shell: str) -> None:
    child = session("exec", "-it", shell, "sh")
    child.expect(PROMPT)
    child.sendline("tty; echo $((6*7))")
    child.expect(r"/dev/pts/\d+\r\n42\r\n")
    child.sendline("exit 21")
    assert ended(child) == 21


def test_exec_has_the_size_of_the_window_and_follows_it(session: Session, shell: str) -> None:
    child = session("exec", "-it", shell, "sh")
    child.expect(PROMPT)
    eventually(lambda: window(child) == (30, 100), "the window's size")
    child.setwinsize(44, 132)
    child.kill(signal.SIGWINCH)
    eventually(lambda: window(child) == (44, 132), "the window's new size")


def test_exec_control_c_reaches_only_the_exec(session: Session, shell: str, cli: DockerCli) -> None:
    child = session(
        "exec", "-it", shell, "sh", "-c", "trap 'echo int; exit 4' INT; echo up; while :; do sleep 0.05; done"
    )
    child.expect("up\r\n")
    child.sendintr()
    child.expect("int\r\n")
    assert ended(child) == 4
    assert running(cli, shell)


def test_exec_detach_keys_leave_it_running(session: Session, shell: str, cli: DockerCli) -> None:
    child = session("exec", "-it", shell, "sh", "-c", "echo up; sleep 61")
    child.expect("up\r\n")
    child.send(DETACH)
    ended(child)
    assert "sleep 61" in cli("exec", shell, "ps").out


def test_exec_of_a_missing_program(session: Session, shell: str) -> None:
    child = session("exec", "-it", shell, "nosuchprogram")
    child.expect("executable file not found")
    assert ended(child) in (126, 127)


def test_exec_ends_with_its_container(session: Session, shell: str, cli: DockerCli) -> None:
    child = session("exec", "-it", shell, "sh")
    child.expect(PROMPT)
    cli("kill", shell)
    assert ended(child) == 137
