"""Make a container: who is asked, in which order, and what is left when something fails."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_cluster.make import ContainerCreator, MadeContainer, new_container_id
from seaway_cluster.request import ContainerRequest
from seaway_contracts.containers import ImageUse, Mount
from seaway_contracts.errors import Code, Reason, SeawayError, bad_request
from seaway_contracts.ids import is_container_id
from seaway_contracts.images import ImageConfig, ImageRecord
from seaway_contracts.volumes import VolumeRecord
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.waiting import until

REQUEST = ContainerRequest(image="busybox")


@pytest.fixture
def creator(fake_bus: Bus, tasks: Tasks, suite: Any) -> ContainerCreator:
    return ContainerCreator(fake_bus, tasks, "tester")


async def refused(creator: ContainerCreator, names: Sequence[str] = ("web",), **options: Any) -> SeawayError:
    with pytest.raises(SeawayError) as caught:
        await creator.make(REQUEST, names, **options)
    return caught.value


async def test_placed_registered_and_made(creator: ContainerCreator, suite: Any) -> None:
    made = await creator.make(REQUEST, ["web"])
    assert set(suite.kinds[:2]) == {"image.get", "container.place"}
    assert suite.kinds[2:] == ["container.register", "container.create"]
    assert is_container_id(made.spec.id)
    assert made == MadeContainer(made.spec, "n1", builders.status(), ("take care",))
    assert [one.spec for one in suite.named("container.register")] == [made.spec]
    assert [one.spec for one in suite.named("container.create")] == [made.spec]
    assert (made.spec.name, made.spec.image.id, made.spec.command.cmd) == ("web", suite.image.id, ("sh",))


async def test_the_node_gets_the_volumes_with_the_container(creator: ContainerCreator, suite: Any) -> None:
    suite.volumes["data"] = VolumeRecord(id="a" * 64, name="data", created_ns=1)
    await creator.make(REQUEST, ["web"])
    assert suite.named("container.create")[0].volumes == (suite.volumes["data"],)


async def test_each_step_is_a_command_of_its_own_in_the_askers_name(creator: ContainerCreator, suite: Any) -> None:
    await creator.make(REQUEST, ["web"])
    commands = [command for kind, _, command in suite.calls if kind in ("container.register", "container.create")]
    assert [command.actor for command in commands] == ["tester", "tester"]
    assert len({command.id for command in commands}) == 2


async def test_on_a_node_that_is_given_nothing_is_placed(creator: ContainerCreator, suite: Any) -> None:
    made = await creator.make(REQUEST, ["web"], node="n1", identifier=builders.container_id(5))
    assert (made.node, made.spec.id) == ("n1", builders.container_id(5))
    assert suite.kinds == ["image.get", "container.register", "container.create"]


async def test_the_first_free_name(creator: ContainerCreator, suite: Any) -> None:
    suite.add(builders.record(1))
    made = await creator.make(REQUEST, ["box1", "box1", "free", "never"])
    assert [one.spec.name for one in suite.named("container.register")] == ["box1", "box1", "free"]
    assert made.spec.name == "free"


async def test_all_names_taken(creator: ContainerCreator, suite: Any) -> None:
    suite.add(builders.record(1))
    assert (await refused(creator, ["box1", "box1"])).code is Code.CONFLICT
    await until(lambda: suite.named("container.unplaced"))
    assert not suite.named("container.create") and not suite.named("container.forget")


async def test_whoever_asks_hears_how_far_it_is(fake_bus: Bus, tasks: Tasks, suite: Any) -> None:
    heard: list[tuple[str, ...]] = []
    creator = ContainerCreator(
        fake_bus,
        tasks,
        "",
        image_found=lambda *note: heard.append((*note, *suite.kinds[-1:])),
        registered=lambda *note: heard.append((*note, *suite.kinds[-1:])),
    )
    made = await creator.make(REQUEST, ["web"], node="n1")
    assert heard == [
        (made.spec.id, suite.image.id, "image.get"),
        (made.spec.id, "n1", "container.register"),
    ]


async def test_mounted_images_are_found_before_anything_is_made(fake_bus: Bus, tasks: Tasks, suite: Any) -> None:
    heard: list[tuple[str, str]] = []
    creator = ContainerCreator(fake_bus, tasks, "", image_found=lambda *note: heard.append(note))
    mount = Mount(type="image", source="other:1", target="/i", read_only=True)
    made = await creator.make(replace(REQUEST, mounts=(mount,)), ["web"], node="n1")
    found = ImageUse(ref="other:1", id=suite.image.id, layers=suite.image.layers)
    assert [one.image for one in made.spec.mounts] == [found]
    assert made.spec.images == (made.spec.image, found)
    assert [asked.ref for asked in suite.named("image.get")] == ["busybox", "other:1"]
    assert heard == [(made.spec.id, suite.image.id)] * 2
    assert suite.kinds.index("container.register") == 2


async def test_the_images_refusal_goes_before_the_schedulers(
    creator: ContainerCreator, suite: Any, caplog: Any
) -> None:
    suite.fail["container.place"] = SeawayError(Code.UNPLACEABLE, "no node")
    assert (await refused(creator)).message == "no node"
    suite.fail["image.get"] = SeawayError(Code.NOT_FOUND, "no image")
    assert (await refused(creator)).message == "no image"
    assert not suite.named("container.register")
    assert "failed" not in caplog.text


async def test_an_image_that_is_not_accepted(creator: ContainerCreator, suite: Any) -> None:
    def accept(image: ImageRecord) -> None:
        raise bad_request(f"not {image.id}")

    assert (await refused(creator, accept=accept)).message == f"not {suite.image.id}"
    await until(lambda: suite.named("container.unplaced"))
    assert not suite.named("container.register")


async def test_nothing_to_run(creator: ContainerCreator, suite: Any) -> None:
    suite.image = builders.image(config=ImageConfig())
    assert (await refused(creator)).message == "no command specified"
    assert not suite.named("container.register")


@pytest.mark.parametrize("step", ["image.get", "container.register", "container.create"])
async def test_a_placement_of_which_nothing_comes_is_given_back(
    creator: ContainerCreator, suite: Any, step: str
) -> None:
    suite.fail[step] = SeawayError(Code.BAD_REQUEST, "no")
    await refused(creator)
    await until(lambda: suite.named("container.unplaced"))
    assert [one.id for one in suite.named("container.unplaced")] == [suite.named("container.place")[0].container_id]


@pytest.mark.parametrize(("code", "unheard"), [(Code.BAD_REQUEST, False), (Code.UNAVAILABLE, True)])
async def test_what_the_node_cannot_make_is_forgotten(
    creator: ContainerCreator, suite: Any, code: Code, unheard: bool
) -> None:
    suite.fail["container.create"] = SeawayError(code, "the node says why")
    assert (await refused(creator)).message == "the node says why"
    assert [(one.name, one.unheard) for one in suite.named("container.forget")] == [("web", unheard)]
    assert suite.records == {} and not suite.named("container.remove")


@pytest.mark.parametrize(
    ("removal", "unheard"), [(None, False), (Code.NOT_FOUND, False), (Code.TIMEOUT, True), (Code.CONFLICT, True)]
)
async def test_after_a_time_out_what_may_have_been_made_is_removed(
    creator: ContainerCreator, suite: Any, removal: Code | None, unheard: bool
) -> None:
    """`unheard` tells metadata to have it removed as soon as the node is back."""
    suite.fail["container.create"] = SeawayError(Code.TIMEOUT, "no answer")
    if removal is not None:
        suite.fail["container.remove"] = SeawayError(removal, "no")
    text = "no answer. Container web is given up: if the node makes it all the same, it is removed"
    error = await refused(creator)
    assert (error.code, error.message) == (Code.TIMEOUT, text)
    assert [(one.force, one.volumes) for one in suite.named("container.remove")] == [(True, True)]
    assert [one.unheard for one in suite.named("container.forget")] == [unheard]


async def test_a_registration_is_taken_back_as_soon_as_that_can_be_done(creator: ContainerCreator, suite: Any) -> None:
    suite.fail["container.create"] = SeawayError(Code.BAD_REQUEST, "no")
    suite.fail["container.forget"] = SeawayError(Code.UNAVAILABLE, "not just now")
    await refused(creator)
    assert len(suite.records) == 1
    suite.fail.clear()
    await until(lambda: not suite.records)


async def test_a_registration_that_got_no_answer_is_taken_back(creator: ContainerCreator, suite: Any) -> None:
    suite.fail["container.register"] = SeawayError(Code.TIMEOUT, "no answer")
    assert (await refused(creator, ["web", "other"])).code is Code.TIMEOUT
    await until(lambda: [one.name for one in suite.named("container.forget")] == ["web"])
    assert not suite.named("container.create")


def test_no_host_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of digits alone are looked up nowhere, not even in /etc/hosts."""
    ids = iter(["123456789012" + "a" * 52, "12345678901f" + "0" * 52])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(ids))
    assert new_container_id() == "12345678901f" + "0" * 52


def other_node(node: str, thing: str = "network own") -> SeawayError:
    return SeawayError(Code.CONFLICT, f"{thing} is on node {node}", Reason.OTHER_NODE, {"node": node, "thing": thing})


OTHER = other_node("n1")


async def test_placed_again_on_the_node_of_its_networks(creator: ContainerCreator, suite: Any) -> None:
    suite.refuse_once["container.register"] = OTHER
    made = await creator.make(REQUEST, ["web", "other"])
    assert (made.node, made.spec.name) == ("n1", "web")
    assert [one.node for one in suite.named("container.place")] == ["", "n1"]
    assert [one.spec.name for one in suite.named("container.register")] == ["web", "web"]
    assert not suite.named("container.unplaced")


async def test_a_network_and_a_volume_of_two_nodes(creator: ContainerCreator, suite: Any) -> None:
    """It is placed twice and not again and again."""
    suite.refuse_once["container.register"] = OTHER
    suite.fail["container.register"] = other_node("n2", "volume data")
    error = await refused(creator, ["web", "other"])
    text = "no node can have the container: network own is on node n1 and volume data is on node n2"
    assert (error.status, error.message, error.reason) == (409, text, None)
    assert len(suite.named("container.place")) == len(suite.named("container.register")) == 2
    await until(lambda: suite.named("container.unplaced"))
    assert not suite.named("container.create")


async def test_the_node_of_its_networks_has_no_room(creator: ContainerCreator, suite: Any) -> None:
    async def refuse() -> None:
        suite.fail["container.place"] = SeawayError(Code.UNPLACEABLE, "no node fits: 1 node: not enough memory")

    suite.refuse_once["container.register"] = OTHER
    suite.meanwhile["container.register"] = refuse
    assert (await refused(creator)).message == "no node fits: 1 node: not enough memory"
    await until(lambda: suite.named("container.unplaced"))


async def test_on_a_node_that_is_given_networks_of_another_are_refused(creator: ContainerCreator, suite: Any) -> None:
    suite.fail["container.register"] = OTHER
    assert (await refused(creator, node="n1")).reason is Reason.OTHER_NODE
    assert not suite.named("container.place") and len(suite.named("container.register")) == 1


async def test_a_taken_address_is_no_taken_name(creator: ContainerCreator, suite: Any) -> None:
    suite.fail["container.register"] = SeawayError(Code.CONFLICT, "Address already in use", Reason.ADDRESS_TAKEN)
    await refused(creator, ["web", "other"])
    assert len(suite.named("container.register")) == 1


def no_room(node: str) -> SeawayError:
    return SeawayError(Code.CONFLICT, f"{node} has no room", Reason.NO_ROOM, {"node": node, "lacks": "memory"})


async def test_a_node_without_room_is_left_out_of_the_next_placement(creator: ContainerCreator, suite: Any) -> None:
    suite.refuse_once["container.create"] = no_room("n1")
    made = await creator.make(REQUEST, ["web"])
    first, second = suite.named("container.place")
    assert (first.excluded, second.excluded) == ((), ("n1",))
    assert {first.container_id, second.container_id} == {made.spec.id}
    assert suite.kinds[-4:] == ["container.forget", "container.place", "container.register", "container.create"]
    commands = [command.id for kind, _, command in suite.calls if kind == "container.create"]
    assert len(set(commands)) == 2
    assert not suite.named("container.unplaced")


async def test_only_so_many_nodes_are_asked(creator: ContainerCreator, suite: Any) -> None:
    suite.fail["container.create"] = no_room("n1")
    error = await refused(creator)
    assert (error.code, error.message) == (
        Code.UNPLACEABLE,
        "4 nodes have refused it, the last: n1 has no room",
    )
    assert [len(one.excluded) for one in suite.named("container.place")] == [0, 1, 2, 3]
    await until(lambda: suite.named("container.unplaced"))
    assert suite.records == {}


async def test_no_other_node_has_room(creator: ContainerCreator, suite: Any) -> None:
    async def all_full() -> None:
        suite.fail["container.place"] = SeawayError(Code.UNPLACEABLE, "no node fits: 1 node: refused it already")

    suite.fail["container.create"] = no_room("n1")
    suite.meanwhile["container.create"] = all_full
    assert (await refused(creator)).message == "no node fits: 1 node: refused it already"
    assert suite.records == {}


async def test_on_a_node_that_is_given_there_is_room_or_not(creator: ContainerCreator, suite: Any) -> None:
    suite.fail["container.create"] = no_room("n1")
    assert (await refused(creator, node="n1")).reason is Reason.NO_ROOM
    assert not suite.named("container.place") and len(suite.named("container.create")) == 1


async def test_without_its_registration_taken_back_it_is_not_placed_again(
    creator: ContainerCreator, suite: Any
) -> None:
    """What takes it back later would take the next registration."""
    suite.fail["container.create"] = no_room("n1")
    suite.refuse_once["container.forget"] = SeawayError(Code.UNAVAILABLE, "away")
    assert (await refused(creator)).reason is Reason.NO_ROOM
    assert len(suite.named("container.create")) == 1
    await until(lambda: len(suite.named("container.forget")) == 2)
