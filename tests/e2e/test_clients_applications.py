"""Applications of several containers, made by programs: docker-py and aiodocker with networks and volumes."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiodocker
import docker
import pytest
from aiodocker.exceptions import DockerError
from docker.models.networks import Network
from docker.models.volumes import Volume
from docker.types import Mount
from e2e_rig.engine import Engine
from test_network import fetch

SERVE = ["sh", "-c", "exec httpd -f -p 80 -h /data"]


@pytest.fixture
def volume(py: docker.DockerClient, name: str) -> Iterator[Volume]:
    """A named volume."""
    made = py.volumes.create(name, labels={"of": name})
    yield made
    for container in py.containers.list(all=True):
        container.remove(force=True)
    made.remove()


@pytest.fixture
def network(py: docker.DockerClient, name: str) -> Network:
    """A network of users."""
    return py.networks.create(name, labels={"of": name})


# --- docker-py


def test_a_site_that_a_job_fills(py: docker.DockerClient, volume: Volume, network: Network) -> None:
    """One container writes, one serves what is written, one reads it by name, and the host by the port."""
    writer = ["sh", "-c", "echo words > /data/index.html"]
    py.containers.run("busybox", writer, mounts=[Mount("/data", volume.name)], network_mode="none", remove=True)
    served = {volume.name: {"bind": "/data", "mode": "ro"}}
    port = {"80/tcp": ("127.0.0.1", None)}
    site = py.containers.run("busybox", SERVE, volumes=served, network=network.name, ports=port, detach=True)
    site.reload()
    assert fetch("127.0.0.1", int(site.ports["80/tcp"][0]["HostPort"])) == "words\n"
    network.disconnect(site)
    network.connect(site, aliases=["site"])
    reader = ["wget", "-q", "-O", "-", "http://site/"]
    assert py.containers.run("busybox", reader, network=network.name, remove=True) == b"words\n"
    network.reload()
    assert [one.id for one in network.containers] == [site.id]
    assert site.exec_run(["touch", "/data/more"]).exit_code == 1, "it is mounted read-only"


def test_a_backup_tool(py: docker.DockerClient, volume: Volume, name: str) -> None:
    """Copies a volume's files into another one, through archives."""
    mount = {volume.name: {"bind": "/data", "mode": "rw"}}
    script = ["sh", "-c", "echo kept > /data/file; chmod 600 /data/file; chown 1000 /data/file"]
    py.containers.run("busybox", script, volumes=mount, network_mode="none", remove=True)
    chunks, _ = py.containers.create("busybox", volumes=mount, network_mode="none").get_archive("/data/.")
    backup = b"".join(chunks)
    with tarfile.open(fileobj=io.BytesIO(backup)) as archive:
        assert "file" in [member.name.rpartition("/")[2] for member in archive]

    other = py.volumes.create(f"{name}-restored", driver="local")
    try:
        mount = {other.name: {"bind": "/data", "mode": "rw"}}
        target = py.containers.create("busybox", ["stat", "-c", "%u %a", "/data/file"], volumes=mount)
        assert target.put_archive("/data", backup)
        target.start()
        assert target.wait()["StatusCode"] == 0 and target.logs() == b"1000 600\n"
        target.remove()
    finally:
        other.remove()


def test_volumes_as_records(py: docker.DockerClient, volume: Volume, name: str) -> None:
    assert py.volumes.get(name).attrs["Labels"] == {"of": name}
    assert [one.name for one in py.volumes.list(filters={"label": f"of={name}"})] == [name]
    user = py.containers.create("busybox", mounts=[Mount("/data", name)], network_mode="none")
    assert name not in [one.name for one in py.volumes.list(filters={"dangling": True})]
    with pytest.raises(docker.errors.APIError, match="volume is in use") as caught:
        volume.remove()
    assert caught.value.status_code == 409
    (found,) = [one for one in py.df()["Volumes"] if one["Name"] == name]
    assert found["UsageData"]["RefCount"] == 1
    user.remove()
    spared = py.volumes.create(f"{name}-2", labels={"other": name})
    try:
        assert py.volumes.prune({"label": f"other={name}", "all": True})["VolumesDeleted"] == [spared.name]
    finally:
        with pytest.raises(docker.errors.NotFound):
            py.volumes.get(spared.name)
    with pytest.raises(docker.errors.NotFound):
        py.volumes.get(f"{name}-3")


def test_networks_as_records(py: docker.DockerClient, network: Network, name: str) -> None:
    pool = docker.types.IPAMPool(subnet="10.93.0.0/24", gateway="10.93.0.1")
    other = py.networks.create(f"{name}-2", ipam=docker.types.IPAMConfig(pool_configs=[pool]), internal=True)
    container = py.containers.create("busybox", ["sleep", "60"], network=network.name)
    other.connect(container, ipv4_address="10.93.0.9")
    container.start()
    container.reload()
    attached = container.attrs["NetworkSettings"]["Networks"]
    assert set(attached) == {network.name, other.name} and attached[other.name]["IPAddress"] == "10.93.0.9"
    with pytest.raises(docker.errors.APIError, match="has active endpoints"):
        other.remove()
    container.remove(force=True)
    other.remove()
    assert py.networks.prune({"label": f"of={name}"})["NetworksDeleted"] == [network.name]


# --- aiodocker


@pytest.fixture
async def aio(engine: Engine, no_containers: None) -> AsyncIterator[aiodocker.Docker]:
    """The client."""
    async with aiodocker.Docker(url=engine.host) as client:
        yield client


def config(network: str, volume: str, *command: str) -> dict[str, Any]:
    """A create body."""
    host = {"NetworkMode": network, "Binds": [f"{volume}:/data"]}
    return {"Image": "busybox", "Cmd": list(command), "HostConfig": host}


async def test_ten_applications_at_once(aio: aiodocker.Docker, name: str) -> None:
    """Each has a network, a volume, a writer, a server and a client, and leaves nothing."""

    async def one(number: int) -> list[str]:
        own = f"{name}-{number}"
        network = await aio.networks.create({"Name": own, "CheckDuplicate": True})
        volume = await aio.volumes.create({"Name": own})
        writer = await aio.containers.run(config("none", own, "sh", "-c", f"echo {number} > /data/index.html"))
        assert (await writer.wait())["StatusCode"] == 0
        server = await aio.containers.run(config(own, own, *SERVE), name=f"{own}-server")
        client = await aio.containers.run(
            config(own, own, "sh", "-c", f"until wget -q -O - http://{own}-server/; do sleep 0.1; done")
        )
        assert (await client.wait())["StatusCode"] == 0
        lines = await client.log(stdout=True)
        for container in (writer, server, client):
            await container.delete(force=True)
        await network.delete()
        await volume.delete()
        return lines

    assert await asyncio.gather(*map(one, range(10))) == [[f"{number}\n"] for number in range(10)]
    assert [row["Name"] for row in (await aio.volumes.list())["Volumes"] or [] if row["Name"].startswith(name)] == []


async def test_a_volume_in_use_stays(aio: aiodocker.Docker, name: str) -> None:
    volume = await aio.volumes.create({"Name": name, "Labels": {"of": name}})
    container = await aio.containers.create(config("none", name, "true"))
    try:
        with pytest.raises(DockerError) as caught:
            await volume.delete()
        assert caught.value.status == 409
        assert (await volume.show())["Labels"] == {"of": name}
    finally:
        await container.delete()
        await volume.delete()
    with pytest.raises(DockerError) as caught:
        await volume.show()
    assert caught.value.status == 404


async def test_connect_and_disconnect_beside_traffic(aio: aiodocker.Docker, name: str) -> None:
    network = await aio.networks.create({"Name": name})
    container = await aio.containers.run({"Image": "busybox", "Cmd": ["sleep", "60"]}, name=f"{name}-c")
    await network.connect({"Container": container.id, "EndpointConfig": {"Aliases": ["there"]}})
    assert list((await network.show())["Containers"]) == [container.id]
    body = {"Image": "busybox", "Cmd": ["ping", "-c", "1", "there"], "HostConfig": {"NetworkMode": name}}
    pinging = await aio.containers.run(body)
    assert (await pinging.wait())["StatusCode"] == 0
    await network.disconnect({"Container": container.id})
    assert (await network.show())["Containers"] == {}
