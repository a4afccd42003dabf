"""Volumes as docker-py and aiodocker use them."""

import asyncio

import aiodocker
import docker
import pytest
from aiodocker.exceptions import DockerError
from docker.types import DriverConfig, Mount
from test_clients_aiodocker import aio, config, running  # noqa: F401 - a fixture

pytestmark = pytest.mark.root


# --- docker-py


def test_life(py: docker.DockerClient, name: str) -> None:
    volume = py.volumes.create(name=name, driver="local", labels={"a": "b"})
    assert (volume.name, volume.id, volume.short_id) == (name, name, name[:12])
    assert (volume.attrs["Labels"], volume.attrs["Options"]) == ({"a": "b"}, None)
    assert py.volumes.get(name).attrs == volume.attrs
    assert [one.name for one in py.volumes.list(filters={"label": "a=b"})] == [name]
    assert py.volumes.list(filters={"dangling": False}) == []
    volume.remove()
    with pytest.raises(docker.errors.NotFound):
        volume.reload()
    with pytest.raises(docker.errors.NotFound):
        volume.remove()


def test_data_goes_from_container_to_container(py: docker.DockerClient, name: str) -> None:
    volume = py.volumes.create(name)
    py.containers.run("busybox", ["sh", "-c", "echo kept > /v/f"], volumes={name: {"bind": "/v"}}, remove=True)
    mounts = {name: {"bind": "/w", "mode": "ro"}}
    assert py.containers.run("busybox", ["cat", "/w/f"], volumes=mounts, remove=True) == b"kept\n"
    user = py.containers.create("busybox", "true", volumes=[f"{name}:/v"])
    with pytest.raises(docker.errors.APIError, match="volume is in use") as refused:
        volume.remove(force=True)
    assert refused.value.status_code == 409
    user.remove()
    assert py.volumes.prune(filters={"all": True}) == {"VolumesDeleted": [name], "SpaceReclaimed": 5}
    assert py.volumes.list() == []


def test_a_mount_makes_its_volume(py: docker.DockerClient, name: str) -> None:
    driver = DriverConfig("local", {"type": "tmpfs", "device": "tmpfs"})
    mount = Mount("/v", name, type="volume", labels={"a": "b"}, driver_config=driver)
    shown = py.containers.run("busybox", ["sh", "-c", "mount | grep ' /v '"], mounts=[mount], remove=True)
    assert b" type tmpfs " in shown
    attributes = py.volumes.get(name).attrs
    assert (attributes["Labels"], attributes["Options"]) == ({"a": "b"}, {"type": "tmpfs", "device": "tmpfs"})


def test_anonymous(py: docker.DockerClient) -> None:
    volume = py.volumes.create()
    container = py.containers.create("busybox", "true", volumes=["/v"])
    (mount,) = container.attrs["Mounts"]
    assert {one.name for one in py.volumes.list()} == {volume.name, mount["Name"]}
    container.remove(v=True)
    assert py.volumes.prune()["VolumesDeleted"] == [volume.name]


def test_disk_usage(py: docker.DockerClient, name: str) -> None:
    py.volumes.create(name)
    (shown,) = py.df()["Volumes"]
    assert (shown["Name"], shown["UsageData"]) == (name, {"RefCount": 0, "Size": 0})


# --- aiodocker


async def test_life_in_asyncio(aio: aiodocker.Docker, name: str) -> None:  # noqa: F811
    volume = await aio.volumes.create({"Name": name, "Labels": {"a": "b"}})
    assert (await volume.show())["Labels"] == {"a": "b"}
    assert [one["Name"] for one in (await aio.volumes.list(filters={"name": name}))["Volumes"]] == [name]
    host = {"NetworkMode": "none", "Binds": [f"{name}:/v"]}
    container = await running(aio, "sh", "-c", "echo kept > /v/f", HostConfig=host)
    await container.wait()
    with pytest.raises(DockerError) as refused:
        await volume.delete()
    assert refused.value.status == 409
    await container.delete()
    await (await aio.volumes.get(name)).delete()
    with pytest.raises(DockerError) as missing:
        await aio.volumes.get(name)
    assert missing.value.status == 404


async def test_twenty_at_once(aio: aiodocker.Docker, name: str) -> None:  # noqa: F811
    async def one(number: int) -> str:
        volume = await aio.volumes.create({"Name": f"{name}-{number}"})
        container = await aio.containers.create(config("true", HostConfig={"Binds": [f"{volume.name}:/v"]}))
        (mount,) = (await container.show())["Mounts"]
        await container.delete()
        await volume.delete()
        return str(mount["Name"])

    assert await asyncio.gather(*map(one, range(20))) == [f"{name}-{number}" for number in range(20)]
    assert (await aio.volumes.list())["Volumes"] == []


async def test_many_ask_for_one_name(aio: aiodocker.Docker, name: str) -> None:  # noqa: F811
    made = await asyncio.gather(*(aio.volumes.create({"Name": name, "Labels": {"n": str(n)}}) for n in range(20)))
    labels = [(await volume.show())["Labels"] for volume in made]
    assert labels == [labels[0]] * 20
    assert [one["Name"] for one in (await aio.volumes.list())["Volumes"]] == [name]


async def test_prune_in_asyncio(aio: aiodocker.Docker, name: str) -> None:  # noqa: F811
    anonymous = await aio.volumes.create({})
    await aio.volumes.create({"Name": name})
    assert (await aio.volumes.prune())["VolumesDeleted"] == [anonymous.name]
    assert (await aio.volumes.prune(filters={"all": "true"}))["VolumesDeleted"] == [name]
