"""`docker compose` with volumes: data outlives containers, and goes when it is told to."""

from collections.abc import Iterator

import pytest
from e2e_rig.api import Api
from e2e_rig.compose import Project, service
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway


@pytest.fixture
def kept(compose: Project) -> Project:
    """A service with a named volume, in which there is a file; it runs."""
    compose.write(services={"a": service(volumes=["data:/data"])}, volumes={"data": {"labels": {"mine": "1"}}}).up()
    compose.inside("a", "echo kept >/data/f")
    return compose


def volumes(compose: Project) -> list[str]:
    """The project's, without its name."""
    names = compose.cli("volume", "ls", "-q", "--filter", f"name={compose.name}_").lines
    return [name.removeprefix(f"{compose.name}_") for name in names]


def test_data_outlives_containers(kept: Project) -> None:
    kept.up("--force-recreate")
    assert kept.inside("a", "cat /data/f") == "kept"
    kept.down()
    assert volumes(kept) == ["data"]
    kept.up()
    assert kept.inside("a", "cat /data/f") == "kept"
    kept.down("--volumes")
    assert volumes(kept) == []


def test_what_compose_says_of_its_volume(kept: Project) -> None:
    told = kept.cli("volume", "inspect", f"{kept.name}_data", "--format", '{{.Driver}} {{index .Labels "mine"}}').out
    assert told == "local 1"
    assert kept.cli("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={kept.name}").lines == [
        f"{kept.name}_data"
    ]


def test_services_share_a_volume(compose: Project) -> None:
    compose.write(
        services={
            "a": service(volumes=["data:/data"]),
            "b": service(volumes=["data:/data:ro"]),
            "c": service(volumes_from=["a"]),
        },
        volumes={"data": {}},
    ).up()
    compose.inside("a", "echo x >/data/f")
    assert compose.inside("b", "cat /data/f; touch /data/g 2>&1 || true").splitlines() == [
        "x",
        "touch: /data/g: Read-only file system",
    ]
    assert compose.inside("c", "cat /data/f") == "x"


def test_replicas_share_a_volume(kept: Project) -> None:
    kept.up("--scale", "a=3")
    assert kept("exec", "-T", "--index", "3", "a", "cat", "/data/f").out == "kept"


def test_a_volume_is_filled_from_the_image(compose: Project) -> None:
    compose.write(
        services={
            "a": service(volumes=["etc:/etc"]),
            "b": service(volumes=[{"type": "volume", "source": "no", "target": "/etc", "volume": {"nocopy": True}}]),
        },
        volumes={"etc": {}, "no": {}},
    ).up()
    assert compose.inside("a", "cat /etc/data") == "not a program"
    assert compose.try_("exec", "-T", "b", "test", "-e", "/etc/data").code == 1


def test_driver_options(compose: Project) -> None:
    (compose.directory / "here").mkdir()
    tmpfs = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    bind = {"type": "none", "device": str(compose.directory / "here"), "o": "bind"}
    compose.write(
        services={"a": service(volumes=[_volume("t", "/memory"), _volume("b", "/here")])},
        volumes={"t": {"driver_opts": tmpfs}, "b": {"driver_opts": bind, "name": f"{compose.name}_other"}},
    ).up()
    assert compose.inside("a", "df -k /memory | tail -1 | awk '{print $1, $2}'; touch /here/f") == "tmpfs 1024"
    assert (compose.directory / "here" / "f").exists() and volumes(compose) == ["other", "t"]


@pytest.mark.seaway_only
def test_a_volume_s_node(compose: Project, engine: Engine) -> None:
    assert isinstance(engine, Seaway)
    for node, code in ((engine.node, 0), ("elsewhere", 1)):
        options = {"driver_opts": {"node": node}, "name": f"{compose.name}_{node}"}
        compose.write(services={"a": service(volumes=["data:/data"])}, volumes={"data": options})
        done = compose.try_("up", "-d")
        assert done.code == code and (not code or node in done.err), done
    assert volumes(compose) == [engine.node]


def _volume(source: str, target: str) -> dict[str, str]:
    return {"type": "volume", "source": source, "target": target}


def test_external_volumes(compose: Project, api: Api) -> None:
    outer = f"{compose.name}-outer"
    compose.write(services={"a": service(volumes=["data:/data"])}, volumes={"data": {"external": True, "name": outer}})
    done = compose.try_("up", "-d")
    assert done.code == 1 and f'external volume "{outer}" not found' in done.err and api.containers() == []
    compose.cli("volume", "create", outer)
    compose.up()
    compose.inside("a", "touch /data/f")
    compose.down("--volumes")
    assert compose.cli("volume", "rm", outer).code == 0, "down has left it"


def test_anonymous_volumes(compose: Project, api: Api) -> None:
    compose.services(a=service(volumes=["/data"])).up()
    compose("run", "--rm", "-T", "a", "true")
    assert len(api.get("/volumes")["Volumes"]) == 1
    compose.inside("a", "touch /data/f")
    compose.up("--force-recreate")
    assert compose.inside("a", "ls /data") == "f" and len(api.get("/volumes")["Volumes"]) == 1
    compose.down()
    compose.up()
    assert compose.inside("a", "ls /data") == ""
    compose("rm", "-fsv")
    assert len(api.get("/volumes")["Volumes"]) == 1, "the one that compose has handed on was named by then"


# --- what can't be done


@pytest.fixture
def nothing_made(api: Api, compose: Project) -> Iterator[None]:
    """No volume and no container is left."""
    yield
    compose.down("--volumes")
    assert api.containers() == [] and not api.get("/volumes")["Volumes"]


@pytest.mark.usefixtures("nothing_made")
def test_a_volume_in_use_is_left(kept: Project) -> None:
    guest = kept.cli("run", "-d", "-v", f"{kept.name}_data:/x", "busybox", "sleep", "600").out
    done = kept.down("--volumes")
    assert "Resource is still in use" in done.err and volumes(kept) == ["data"]
    assert kept.cli("exec", guest, "cat", "/x/f").out == "kept"
    kept.cli("rm", "-f", guest)


@pytest.mark.usefixtures("nothing_made")
@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ({"driver": "nope"}, 'plugin "nope" not found'),
        ({"driver_opts": {"nope": "x"}}, 'invalid option: "nope"'),
        ({"driver_opts": {"type": "none", "device": "/nope", "o": "bind"}}, "no such file or directory"),
    ],
)
def test_volumes_that_can_not_be(compose: Project, volume: dict[str, object], text: str) -> None:
    compose.write(services={"a": service(volumes=["data:/data"])}, volumes={"data": volume})
    done = compose.try_("up", "-d")
    assert done.code == 1 and text in done.err


@pytest.mark.usefixtures("nothing_made")
def test_a_subpath_that_is_not_there(compose: Project) -> None:
    mount = {"type": "volume", "source": "data", "target": "/data", "volume": {"subpath": "nope"}}
    compose.write(services={"a": service(volumes=[mount])}, volumes={"data": {}})
    done = compose.try_("up", "-d")
    assert done.code == 1 and "nope" in done.err
