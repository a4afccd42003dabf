"""`docker compose`: what a compose file can say of a service."""

import json
from typing import Any

import pytest
from e2e_rig.compose import SLEEP, Project, script, service


def printed(compose: Project, **fields: Any) -> list[str]:
    """What the project's only service prints, which ends then."""
    compose.services(a={"image": "busybox"} | fields)
    return lines(compose)


def lines(compose: Project, **environment: str) -> list[str]:
    compose("up", "--no-color", "--exit-code-from", "a", **environment)
    return compose("logs", "--no-log-prefix", "a").lines


# --- environment


def test_environment_files(compose: Project) -> None:
    compose.file("one", "A=1\nB=two words\n").file("two", "B=3\nC=${HOME}x\n").file(".env", "D=4\n")
    seen = printed(compose, command="env", env_file=["one", "two"], environment={"E": "${D}-${F:-5}", "G": "$$x"})
    wanted = {"A=1", "B=3", "E=4-5", "G=$x"}
    assert wanted <= set(seen) and any(line.startswith("C=/") for line in seen)


def test_a_variable_that_must_be_there(compose: Project) -> None:
    compose.services(a=service(command="echo ${WANTED:?say what}"))
    done = compose.try_("up", "-d")
    assert done.code and "required variable WANTED is missing a value: say what" in done.err
    assert compose("config", WANTED="x").code == 0


# --- secrets and configs


def test_secrets(compose: Project) -> None:
    compose.file("secret", "from a file\n").write(
        services={"a": script("cat /run/secrets/s /run/secrets/other /t", secrets=_SECRETS)},
        secrets={"s": {"file": "./secret"}, "e": {"environment": "GIVEN"}},
    )
    assert lines(compose, GIVEN="from outside\n") == ["from a file", "from outside", "from outside"]


_SECRETS = ["s", {"source": "e", "target": "other"}, {"source": "e", "target": "/t", "uid": "1000", "mode": 0o400}]


def test_configs(compose: Project) -> None:
    wanted = [{"source": name, "target": f"/{name}"} for name in ("f", "e", "c")]
    compose.file("config", "from a file\n").write(
        services={"a": script("cat /f /e /c; stat -c %u:%a /o", configs=[*wanted, _OWNED])},
        configs={
            "f": {"file": "./config"},
            "e": {"environment": "GIVEN"},
            "c": {"content": "for ${GIVEN:-nobody}"},
        },
    )
    assert lines(compose, GIVEN="you\n") == ["from a file", "you", "for you", "1000:440"]


_OWNED = {"source": "e", "target": "/o", "uid": "1000", "mode": 0o440}


def test_a_secret_without_its_file(compose: Project) -> None:
    compose.write(services={"a": service(secrets=["s"])}, secrets={"s": {"file": "./nope"}})
    done = compose.try_("up", "-d")
    assert done.code == 1 and "bind source path does not exist" in done.err and compose.states() == {}


# --- limits and options


def test_deploy_limits(compose: Project) -> None:
    limits = {"limits": {"cpus": "0.5", "memory": "64M", "pids": 50}, "reservations": {"memory": "32M"}}
    compose.services(a=service(deploy={"resources": limits})).up()
    told = compose.inspect("a", "{{json .HostConfig}}")
    host = json.loads(told)
    assert [host[name] for name in ("NanoCpus", "Memory", "PidsLimit", "MemoryReservation")] == [
        500_000_000,
        64 << 20,
        50,
        32 << 20,
    ]


@pytest.mark.parametrize(
    ("fields", "text", "wanted"),
    [
        ({"extra_hosts": ["h1=10.0.0.1", "h2:10.0.0.2"]}, "grep -c '10.0.0.[12].h[12]' /etc/hosts", "2"),
        ({"sysctls": {"net.ipv4.ip_unprivileged_port_start": 99}}, "cat /proc/sys/net/ipv4/ip_unpr*start", "99"),
        ({"init": True}, "tr '\\0' ' ' </proc/1/cmdline", "/sbin/docker-init -- sleep 600 "),
        ({"tmpfs": ["/t:size=1m,mode=700"]}, "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'", "700\n1024"),
        ({"ulimits": {"nofile": {"soft": 99, "hard": 100}}}, "ulimit -Sn; ulimit -Hn", "99\n100"),
        ({"user": "app", "group_add": ["5"]}, "id", "uid=1000(app) gid=1000(app) groups=5,1000(app),2000(extra)"),
        ({"hostname": "h", "domainname": "d.e"}, "hostname -f", "h.d.e"),
        ({"read_only": True}, "touch /x 2>&1", "touch: /x: Read-only file system"),
        ({"shm_size": "1m"}, "df -k /dev/shm | tail -1 | awk '{print $2}'", "1024"),
        ({"dns": ["192.0.2.1"], "network_mode": "bridge"}, "grep ^nameserver /etc/resolv.conf", "nameserver 192.0.2.1"),
        ({"cap_drop": ["ALL"], "cap_add": ["CHOWN"]}, "grep CapEff /proc/self/status", "CapEff:\t0000000000000001"),
        ({"devices": ["/dev/null:/dev/nought"]}, "stat -c %F /dev/nought", "character special file"),
        ({"working_dir": "/new", "tty": True, "stdin_open": True}, "pwd", "/new"),
    ],
)
def test_options(compose: Project, fields: dict[str, Any], text: str, wanted: str) -> None:
    compose.services(a=service(**fields)).up()
    done = compose.try_("exec", "-T", "a", "sh", "-c", text)
    assert done.out == wanted, done


def test_labels_and_what_else_is_inspected(compose: Project) -> None:
    compose.services(
        a=service(
            labels={"mine": "1"},
            annotations={"a": "b"},
            stop_grace_period="3s",
            restart="always",
            container_name=compose.name,
        )
    ).up()
    found = json.loads(compose.cli("inspect", compose.name).out)[0]
    labels = found["Config"]["Labels"]
    assert (labels["mine"], labels["com.docker.compose.service"], found["Config"]["StopTimeout"]) == ("1", "a", 3)
    assert found["HostConfig"]["Annotations"] == {"a": "b"}


def test_mounts(compose: Project) -> None:
    compose.file("f", "seen\n")
    tmpfs = {"type": "tmpfs", "target": "/t", "tmpfs": {"size": 1 << 20}}
    bind = {"type": "bind", "source": "./f", "target": "/f", "read_only": True}
    compose.services(a=service(volumes=["./made:/made", "/anonymous", tmpfs, bind])).up()
    assert compose.inside("a", "touch /made/x; touch /anonymous/y; cat /f; df -k /t | tail -1 | awk '{print $2}'") == (
        "seen\n1024"
    )
    assert (compose.directory / "made" / "x").exists()
    compose.up("--force-recreate")
    assert compose.inside("a", "ls /anonymous") == "y", "compose hands it on"
    compose.up("--force-recreate", "--renew-anon-volumes")
    assert compose.inside("a", "ls /anonymous") == ""


# --- files of files


def test_extends_and_include(compose: Project) -> None:
    compose.file("base.yaml", json.dumps({"services": {"base": SLEEP | {"environment": {"A": "1", "B": "2"}}}}))
    compose.file("more.yaml", json.dumps({"services": {"more": SLEEP}}))
    extended = {"extends": {"file": "base.yaml", "service": "base"}, "environment": {"B": "3"}}
    compose.write(include=["more.yaml"], services={"a": extended, "b": {"extends": "a", "environment": {"C": "4"}}})
    compose.up()
    assert compose.states() == dict.fromkeys(("a-1", "b-1", "more-1"), "running")
    assert compose.inside("b", "echo $A$B$C") == "134"


def test_files_over_files(compose: Project) -> None:
    compose.services(a=service(environment={"A": "1"}))
    compose.file("over.yaml", json.dumps({"services": {"a": {"environment": {"A": "2"}}, "b": SLEEP}}))
    compose("-f", str(compose.directory / "over.yaml"), "up", "-d")
    assert compose.inside("a", "echo $A") == "2" and sorted(compose.states()) == ["a-1", "b-1"]
