"""POST /containers/create: who is asked, in which order, and what is left when something fails."""

import logging
import re
from typing import Any

import pytest

from seaway_contracts.containers import ContainerRecord, Mount
from seaway_contracts.errors import Code
from seaway_contracts.images import ImageConfig
from seaway_contracts.placement import Condition, PlacedMount, PlaceRequest
from seaway_testing import builders
from seaway_testing.waiting import until

CREATE = "/v1.45/containers/create"


async def test_a_container_is_placed_registered_and_made(rig: Any) -> None:
    answer = await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox", "Cmd": ["sleep", "9"]})
    assert answer.status == 201
    assert answer.json["Warnings"] == []
    identifier = answer.json["Id"]
    assert re.fullmatch("[0-9a-f]{64}", identifier)
    kinds = [kind for kind, _ in rig.suite.calls]
    assert set(kinds[:2]) == {"image", "place"}
    assert kinds[2:] == ["register", "create", "nodes"], "whether the image is for that node"
    spec = rig.suite.named("create")[0].spec
    assert (spec.id, spec.name, spec.command.args) == (identifier, "web", ("sleep", "9"))
    assert spec == rig.suite.named("register")[0].spec
    assert rig.api.hub.place(identifier) == "n1"


async def test_the_scheduler_is_asked_with_all_that_a_filter_may_need(rig: Any) -> None:
    """What the image says isn't known yet: the two are asked side by side."""
    image = ImageConfig(cmd=("sh",), labels={"of": "image"}, volumes=("/from-image",))
    rig.suite.images["busybox"] = builders.image(1, config=image)
    host = {
        "Memory": 64 << 20,
        "Binds": ["/srv:/srv", "data:/data"],
        "PortBindings": {"80/tcp": [{"HostPort": "8080"}], "81/tcp": [{"HostPort": ""}]},
        "DeviceRequests": [{"Driver": "nvidia", "Count": -1}],
        "Runtime": "runc",
    }
    body = {"Image": "busybox", "Labels": {"a": "b"}, "Volumes": {"/v": {}}, "HostConfig": host}
    assert (await rig.call("POST", f"{CREATE}?platform=linux", body)).status == 201
    (asked,), (made,) = rig.suite.named("place"), rig.suite.named("create")
    assert asked == PlaceRequest(
        container_id=made.spec.id,
        resources=made.spec.resources,
        labels={"a": "b"},
        mounts=(
            PlacedMount(type="bind", source="/srv", target="/srv"),
            PlacedMount(type="volume", source="data", target="/data"),
            PlacedMount(type="volume", target="/v"),
        ),
        networks=("bridge",),
        host_ports=(8080,),
        runtime="runc",
        platform="linux",
        image_ref="busybox",
    )
    assert [request.driver for request in asked.devices] == ["nvidia"]
    assert made.spec.labels == {"of": "image", "a": "b"}
    assert {mount.target for mount in made.spec.mounts} == {"/srv", "/data", "/v", "/from-image"}


async def test_constraints_and_affinities_go_to_the_scheduler_and_not_into_the_environment(rig: Any) -> None:
    env = ["A=1", "constraint:node.labels.disk==~ssd", "affinity:container!=web*"]
    labels = {"com.docker.swarm.constraints": '["node!=n2"]'}
    assert (await rig.call("POST", CREATE, {"Image": "busybox", "Env": env, "Labels": labels})).status == 201
    (asked,), (made,) = rig.suite.named("place"), rig.suite.named("create")
    assert asked.constraints == (
        Condition(key="node", value="n2", equal=False),
        Condition(key="node.labels.disk", value="ssd", soft=True),
    )
    assert asked.affinities == (Condition(key="container", value="web*", equal=False),)
    assert "A=1" in made.spec.command.env and not any(":" in variable for variable in made.spec.command.env)
    assert made.spec.labels == asked.labels | {
        "com.docker.swarm.constraints": '["node!=n2","node.labels.disk==~ssd"]',
        "com.docker.swarm.affinities": '["container!=web*"]',
    }


async def test_cpus_are_reserved_by_a_label(rig: Any) -> None:
    labels = {"com.seaway.reservation.cpus": "1.5"}
    answer = await rig.call("POST", CREATE, {"Image": "busybox", "Labels": labels})
    assert answer.status == 201
    (asked,) = rig.suite.named("place")
    (made,) = rig.suite.named("create")
    assert asked.resources.cpu_reservation == made.spec.resources.cpu_reservation == 1_500_000_000
    assert made.spec.labels == labels


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"Env": ["constraint:node=n1"]}, "constraint 'node=n1' is not valid: write key==value or key!=value"),
        ({"Env": ["affinity:image==/(/"]}, "affinity 'image==/(/' is not valid: /(/ is no regular expression"),
        ({"Env": ["constraint:" + "k" * 10_000]}, "constraint 'kkk"),
        ({"Env": ["constraint:node==" + "é" * 10_000]}, "constraint 'node==é"),
        ({"Env": ["affinity:x==a"] * 33}, "a container may have 32 expressions of kind affinity, and 33 are given"),
        ({"Labels": {"com.docker.swarm.constraints": "x"}}, "label com.docker.swarm.constraints must be a JSON list"),
        (
            {"Labels": {"com.seaway.reservation.cpus": "many"}},
            "label com.seaway.reservation.cpus: 'many' is no number of CPUs: write 2 or 0.5",
        ),
    ],
)
async def test_a_wrong_constraint_leaves_nothing_half_made(rig: Any, body: dict[str, Any], text: str) -> None:
    assert (await rig.call("POST", CREATE, {"Image": "nope"} | body)).status == 404, "clients pull upon it"
    answer = await rig.call("POST", CREATE, {"Image": "busybox"} | body)
    assert answer.status == 400 and answer.json["message"].startswith(text)
    assert not rig.suite.named("place") and not rig.suite.named("register")


async def test_what_the_scheduler_can_not_be_asked_with_is_refused_behind_the_image(
    rig: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host = {"SecurityOpt": ["nonsense=1"]}
    assert (await rig.call("POST", CREATE, {"Image": "nope", "HostConfig": host})).status == 404
    answer = await rig.call("POST", CREATE, {"Image": "busybox", "HostConfig": host})
    assert (answer.status, answer.json["message"]) == (400, 'invalid --security-opt 2: "nonsense=1"')
    assert not rig.suite.named("place") and not rig.suite.named("register")
    assert "failed" not in caplog.text


async def test_a_name_is_made_up_and_another_one_if_it_is_taken(rig: Any) -> None:
    rig.suite.names_taken = 2
    answer = await rig.call("POST", CREATE, {"Image": "busybox"})
    assert answer.status == 201
    names = [request.spec.name for request in rig.suite.named("register")]
    assert len(names) == 3
    assert all(re.fullmatch("[a-z]+_[a-z]+[0-9]?", name) for name in names)


async def test_a_name_in_use(rig: Any) -> None:
    await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox"})
    answer = await rig.call("POST", f"{CREATE}?name=/web", {"Image": "busybox"})
    assert answer.status == 409
    assert len(rig.suite.named("create")) == 1


_NO_ADDRESS = "invalid config for network bridge: invalid endpoint settings:\ninvalid link-local IP address: x"


@pytest.mark.parametrize("image", ["busybox", "nope"])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}}, 'invalid port specification: "99999"'),
        ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "1.2.3.4.5"}]}}}, "invalid IP address: 1.2.3.4.5"),
        ({"ExposedPorts": {"0/tcp": {}}}, 'invalid port specification: "0/tcp"'),
        ({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"LinkLocalIPs": ["x"]}}}}}, _NO_ADDRESS),
    ],
)
async def test_a_wrong_port_or_address_is_refused_before_anything_is_asked(
    rig: Any, caplog: pytest.LogCaptureFixture, image: str, body: dict[str, Any], text: str
) -> None:
    answer = await rig.call("POST", CREATE, {"Image": image, **body})
    assert (answer.status, answer.json["message"]) == (400, text)
    assert rig.suite.calls == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_image_that_is_not_there(rig: Any) -> None:
    answer = await rig.call("POST", CREATE, {"Image": "nope"})
    assert (answer.status, answer.json["message"]) == (404, "No such image: nope:latest")
    assert not rig.suite.named("register")


async def test_the_images_refusal_goes_before_the_schedulers(rig: Any, failure: Any) -> None:
    rig.suite.fail["place"] = failure(Code.UNPLACEABLE, "no node")
    assert (await rig.call("POST", CREATE, {"Image": "nope"})).status == 404
    answer = await rig.call("POST", CREATE, {"Image": "busybox"})
    assert (answer.status, answer.json["message"]) == (500, "no node")
    assert not rig.suite.named("register")


@pytest.mark.parametrize("step", ["image", "register", "create"])
async def test_a_placement_of_which_nothing_comes_is_given_back(rig: Any, failure: Any, step: str) -> None:
    """What it was promised on its node would be taken from others."""
    assert (await rig.call("POST", CREATE, {"Image": "busybox"})).status == 201
    rig.suite.fail[step] = failure(Code.CONFLICT, "no")
    assert (await rig.call("POST", CREATE, {"Image": "busybox"})).status == 409
    await until(lambda: rig.suite.named("unplace"))
    assert [one.id for one in rig.suite.named("unplace")] == [rig.suite.named("place")[1].container_id]


@pytest.mark.parametrize(("code", "status"), [(Code.BAD_REQUEST, 400), (Code.UNAVAILABLE, 503), (Code.NO_SPACE, 500)])
async def test_what_the_node_cannot_make_is_forgotten(rig: Any, failure: Any, code: Code, status: int) -> None:
    rig.suite.fail["create"] = failure(code, "the node says why")
    answer = await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox"})
    assert (answer.status, answer.json["message"]) == (status, "the node says why")
    assert rig.suite.records == {}


async def test_after_a_time_out_the_node_is_asked_to_take_it_away(rig: Any, failure: Any) -> None:
    rig.suite.fail["create"] = failure(Code.TIMEOUT, "no answer")
    answer = await rig.call("POST", CREATE, {"Image": "busybox"})
    assert answer.status == 504
    assert rig.suite.named("remove")[0].force
    assert rig.suite.records == {}


async def test_what_a_node_that_answers_nothing_may_have_made_is_given_up(rig: Any, failure: Any) -> None:
    """Its name is free; metadata is told that the container may be there, and has it removed."""
    rig.suite.fail["create"] = failure(Code.TIMEOUT, "no answer")
    rig.suite.fail["remove"] = failure(Code.TIMEOUT, "no answer")
    answer = await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox"})
    assert (answer.status, answer.json["message"]) == (
        504,
        "no answer. Container web is given up: if the node makes it all the same, it is removed",
    )
    [forgotten] = rig.suite.named("forget")
    assert (forgotten.name, forgotten.unheard) == ("web", True)
    assert rig.suite.records == {}


async def test_what_a_node_has_refused_or_removed_is_forgotten_for_good(rig: Any, failure: Any) -> None:
    for code in (Code.BAD_REQUEST, Code.TIMEOUT):
        rig.suite.fail["create"] = failure(code, "no")
        await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox"})
    assert [request.unheard for request in rig.suite.named("forget")] == [False, False]


async def test_a_registration_is_taken_back_as_soon_as_the_bus_is_there(rig: Any, failure: Any) -> None:
    """So the name is free when the client tries again."""
    rig.suite.fail["create"] = failure(Code.UNAVAILABLE, "the bus can't be reached")
    rig.suite.fail["forget"] = failure(Code.UNAVAILABLE, "the bus can't be reached")
    assert (await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox"})).status == 503
    assert len(rig.suite.records) == 1
    rig.suite.fail.clear()
    await until(lambda: not rig.suite.records)
    assert (await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox"})).status == 201


async def test_a_registration_that_got_no_answer_is_taken_back(rig: Any, failure: Any) -> None:
    rig.suite.fail["register"] = failure(Code.TIMEOUT, "no answer")
    assert (await rig.call("POST", f"{CREATE}?name=web", {"Image": "busybox"})).status == 504
    await until(lambda: [request.name for request in rig.suite.named("forget")] == ["web"])
    assert not rig.suite.named("create")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "config cannot be empty in order to create a container"),
        ({"HostConfig": {}}, 400, "config cannot be empty in order to create a container"),
        (
            {"Image": "busybox", "WorkingDir": "x"},
            400,
            "the working directory 'x' is invalid, it needs to be an absolute path",
        ),
        ({"Image": "busybox", "Env": ["=x"]}, 400, "invalid environment variable: =x"),
        ({"Image": "busybox", "StopSignal": "NOPE"}, 400, "invalid signal: NOPE"),
        (
            {"Image": "busybox", "HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}},
            400,
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"Image": "busybox", "HostConfig": {"Memory": 1000}}, 400, "Minimum memory limit allowed is 6MB"),
        (
            {"Image": "busybox", "HostConfig": {"CapAdd": ["bogus"]}},
            400,
            'invalid CapAdd: unknown capability: "CAP_BOGUS"',
        ),
        (
            {"Image": "busybox", "HostConfig": {"NetworkMode": "container:x"}},
            400,
            "No such container: x",
        ),
        (
            {"Image": "busybox", "HostConfig": {"Binds": ["/a:/b", "/c:/b"]}},
            400,
            "Duplicate mount point: /b",
        ),
        (
            {"Image": "busybox", "HostConfig": {"LogConfig": {"Type": "x"}}},
            400,
            'error looking up logging plugin x: plugin "x" not found',
        ),
        ({"Image": "busybox", "HostConfig": {"SecurityOpt": ["x"]}}, 400, 'invalid --security-opt 1: "x"'),
    ],
)  # fmt: skip
async def test_refusals(rig: Any, body: Any, status: int, message: str) -> None:
    answer = await rig.call("POST", CREATE, body)
    assert (answer.status, answer.json["message"]) == (status, message)
    assert not rig.suite.named("register")


async def test_no_command_at_all(rig: Any) -> None:
    rig.suite.images["bare"] = builders.image(2, config=ImageConfig())
    answer = await rig.call("POST", CREATE, {"Image": "bare"})
    assert (answer.status, answer.json["message"]) == (400, "no command specified")


async def test_a_partner_binds_the_container_to_its_node(rig: Any) -> None:
    partner = rig.suite.add(builders.record(1))
    body = {"Image": "busybox", "HostConfig": {"NetworkMode": "container:box1", "PidMode": f"container:{partner.id}"}}
    answer = await rig.call("POST", CREATE, body)
    assert answer.status == 201
    assert not rig.suite.named("place")
    spec = rig.suite.named("create")[0].spec
    assert (spec.network.sandbox, spec.namespaces.pid) == (f"container:{partner.id}",) * 2


async def test_volumes_from_another_container(rig: Any) -> None:
    volume = Mount(type="volume", target="/data", source="v", anonymous=True, shown_mode="z")
    mounts = (volume, Mount(type="bind", target="/b", source="/x"))
    rig.suite.add(ContainerRecord(spec=builders.spec(1, mounts=mounts), node="n1"))
    body = {"Image": "busybox", "HostConfig": {"VolumesFrom": ["box1:ro"], "Binds": ["/own:/b"]}}
    await rig.call("POST", CREATE, body)
    made = {mount.target: mount for mount in rig.suite.named("create")[0].spec.mounts}
    assert (made["/b"].source, made["/b"].read_only) == ("/own", False)
    taken = volume.model_copy(update={"read_only": True, "no_copy": True, "shown_mode": ""})
    assert made["/data"] == taken, "the last one to be removed with its anonymous volumes takes it along"
