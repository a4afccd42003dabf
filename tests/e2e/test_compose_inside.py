"""`docker compose exec`, `run` and `cp`."""

from e2e_rig.compose import Project, service
from e2e_rig.waits import eventually
from test_compose_commands import two

from seaway_testing.ports import free_port

__all__ = ["two"]


def test_exec(compose: Project) -> None:
    compose.services(a=service(environment={"A": "1"}, working_dir="/tmp", scale=2)).up()
    done = compose.try_("exec", "-T", "-e", "B=2", "--index", "2", "a", "sh", "-c", "echo $A$B $PWD; exit 5")
    assert (done.code, done.out) == (5, "12 /tmp")
    assert compose("exec", "-T", "-u", "app", "-w", "/etc", "a", "sh", "-c", "id -un; pwd").lines == ["app", "/etc"]
    assert compose("exec", "-T", "a", "cat", input="ahoy").out == "ahoy"
    compose("exec", "-d", "a", "touch", "/tmp/x")
    eventually(lambda: compose.inside("a", "ls /tmp") == "x", "the file")


def test_exec_on_a_terminal(two: Project) -> None:
    with two.cli.terminal(*two.words("exec", "a", "sh")) as terminal:
        terminal.type("tty; exit 4\n")
        terminal.expect("/dev/pts/0")
        assert terminal.wait() == 4


def test_run(compose: Project) -> None:
    port = free_port()
    compose.services(a=service(ports=[f"127.0.0.1:{port}:80"]), b=service(depends_on=["a"], environment={"A": "1"}))
    done = compose.try_("run", "--rm", "-T", "--no-deps", "-e", "B=2", "b", "sh", "-c", "echo $A$B; exit 4")
    assert (done.code, done.out, compose.states()) == (4, "12", {})
    assert compose("run", "--rm", "-T", "b", "cat", input="in").out == "in" and compose.states() == {"a-1": "running"}
    assert compose("run", "--rm", "-T", "-v", "/etc:/x:ro", "--entrypoint", "ls", "b", "/x/passwd").out == "/x/passwd"
    compose("run", "-d", "--name", f"{compose.name}-r", "a")
    assert compose.cli("port", f"{compose.name}-r").out == "", "only with --service-ports"


def test_cp(two: Project) -> None:
    two.file("one", "1")
    (two.directory / "many").mkdir()
    two.file("many/two", "2")
    two("cp", str(two.directory / "one"), "a:/tmp/uno")
    two("cp", str(two.directory / "many"), "a:/tmp")
    assert two.inside("a", "cat /tmp/uno /tmp/many/two") == "12"
    two("cp", "a:/tmp/many/two", str(two.directory / "back"))
    assert (two.directory / "back").read_text() == "2"
