"""`seaway events`: options, filters, lines, and what an image of now does not include."""

import json
from collections.abc import Callable

import orjson
import pytest

from seaway_bus.transport import StreamSize
from seaway_cli.errors import CliError
from seaway_cli.event_image import Image, newest, public_attributes, public_status
from seaway_cli.event_view import Choice, Shown, formatter, parse_filter_words, place_of
from seaway_cli.events import EventOptions, Plan, check_place
from seaway_contracts.catalogue import EVENT_STREAM, EVENTS
from seaway_contracts.containers import ContainerStatus, Health, State
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.records import GONE
from seaway_testing.builders import container_event, container_id, record, status
from seaway_testing.fake_transport import FakeServer, FakeTransport

ID = container_id(1)
NOW_NS = 1_795_479_225_566_952_610


def event(
    action: str = "start",
    *,
    noun: str = "container",
    subject: str = ID,
    seq: int = 2,
    stream: int = 10,
    actor: str = "uid:0",
    **attributes: str,
) -> Shown:
    envelope = Envelope("0" * 24, "n1", noun, action, subject, NOW_NS, seq, "c" * 24, actor)
    body = {"status": {"state": "running", "seq": seq}, "attributes": attributes}
    return Shown.of(envelope, orjson.dumps(body), stream)


def test_a_line_is_that_of_docker_events_with_the_node() -> None:
    assert event(name="web", image="busybox").line == (
        f"2026-11-24T00:13:45.566952610Z n1 container start {ID} (image=busybox, name=web)"
    )


def test_the_document_has_dockers_fields_and_more() -> None:
    assert json.loads(formatter("json")(event(name="web"))) == {
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": ID, "Attributes": {"name": "web"}},
        "scope": "local",
        "time": NOW_NS // 10**9,
        "timeNano": NOW_NS,
        "seq": 10,
        "id": "0" * 24,
        "node": "n1",
        "cause": "c" * 24,
        "by": "uid:0",
        "from": "unix socket",
        "status": {"state": "running", "seq": 2},
    }


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Action}} {{.Actor.Attributes.name}}", "start web"),
        ("{{ .Type }}/{{.node}}/{{.Node}}/{{.Seq}}", "container/n1/n1/10"),
        ('{{index .Actor.Attributes "com.example.key"}}', "v"),
        ("{{json .Actor.Attributes.name}} {{.Actor.Attributes.none}}", '"web" <no value>'),
        ('{{.Action}}\\t{{index .Actor.Attributes "none"}}', "start\t<no value>"),
        ("plain", "plain"),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert formatter(template)(event(name="web", **{"com.example.key": "v"})) == text
    assert json.loads(formatter("{{json .}}")(event()))["seq"] == 10


@pytest.mark.parametrize("template", ["{{range .}}", "{{.Action", "{{if .x}}a{{end}}", "{{table .x}}"])
def test_what_is_no_template_is_refused_with_one_that_is(template: str) -> None:
    with pytest.raises(ValueError, match=r"use json, or a template with {{\.Type}}"):
        formatter(template)


def test_labels_can_not_control_the_terminal() -> None:
    assert "\x1b" not in event(name="\x1b[2J").line and "\\x1b[2J" in event(name="\x1b[2J").line
    assert formatter("{{.Actor.Attributes.name}}")(event(name="a\nb")) == "a\\nb"


def test_the_audit_line() -> None:
    line = formatter("", audit=True)(event(name="web", actor="ip:10.0.0.7"))
    assert line.split() == [
        "2026-11-24T00:13:45.566952610Z", "ip:10.0.0.7", "10.0.0.7", "container", "start", "web",
        "on", "n1", f"cause={'c' * 24}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("actor", "place"),
    [
        ("uid:0", "unix socket"),
        ("cn:al", "TLS"),
        ("ip:::1", "::1"),
        ("cn:al@10.0.0.7", "10.0.0.7"),
        ("", ""),
        ("api", "command line"),
        ("metadata", "inside"),
    ],
)
def test_where_an_actor_is(actor: str, place: str) -> None:
    assert place_of(actor) == place


def chosen(*words: str, **more: object) -> Callable[[Shown], bool]:
    return Choice(parse_filter_words(words), **more).takes  # type: ignore[arg-type]


def test_filters_are_those_of_docker_events() -> None:
    web = event(name="web", image="busybox:latest", tier="front")
    for words in (("type=container",), ("event=start", "event=die"), ("container=web",), (f"container={ID[:12]}",)):
        assert chosen(*words)(web)
    assert chosen("image=busybox")(web) and chosen("label=tier=front", "label=image")(web)
    for words in (("type=network",), ("event=die",), ("container=db",), ("label=tier=back",), ("network=web",)):
        assert not chosen(*words)(web)


def test_other_choices() -> None:
    assert chosen(nodes=frozenset({"n1"}))(event()) and not chosen(nodes=frozenset({"n2"}))(event())
    assert chosen(audit=True)(event()) and not chosen(audit=True)(event(actor=""))
    assert chosen(since_ns=NOW_NS, until_ns=NOW_NS)(event())
    assert not chosen(since_ns=NOW_NS + 1)(event()) and not chosen(until_ns=NOW_NS - 1)(event())


@pytest.mark.parametrize("word", ["type", "type=", "colour=red", "=x"])
def test_what_is_no_filter(word: str) -> None:
    with pytest.raises(ValueError, match=r"write KEY=VALUE|use one of config, container"):
        parse_filter_words([word])


def plan(**options: object) -> Plan:
    return Plan.of(EventOptions(**options), NOW_NS)  # type: ignore[arg-type]


def test_where_reading_begins_and_ends() -> None:
    assert (plan().after, plan().end_ns) == (None, None)
    assert (plan(follow=False).after, plan(follow=False).end_ns) == (0, 0)
    assert plan(since="seq:41").after == 41
    past = plan(since="10m", until="5m")
    assert (past.after, past.choice.since_ns, past.end_ns) == (0, NOW_NS - 600 * 10**9, NOW_NS - 300 * 10**9)
    assert plan(with_state=True, follow=False).after is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"since": "seq:x"}, "write seq: and the number of the last event that you have"),
        ({"since": "yesterday"}, "write a time, 10m for ten minutes ago, or seq:N"),
        ({"since": "5m", "until": "10m"}, "--since 5m is later than --until 10m"),
        ({"since": "5m", "with_state": True}, "--with-state begins now"),
        ({"audit": True, "with_state": True}, "give one of them"),
        ({"filters": ["x"]}, "write KEY=VALUE"),
        ({"form": "{{"}, "use json, or a template"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(CliError, match=sentence) as caught:
        plan(**options)
    assert caught.value.exit_code == 2


def test_a_place_that_the_stream_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    size = StreamSize(size=1, most=0, first=11, last=20)
    for place in (0, 10, 20):
        check_place(place, size)
    assert capsys.readouterr().err == ""
    check_place(5, size)
    assert capsys.readouterr().err == "seaway: the events 6 to 10 are not stored any more\n"
    with pytest.raises(CliError, match="the stream ends at 20, before 21"):
        check_place(21, size)


def test_an_image_lacks_later_events_of_its_containers_alone() -> None:
    """Wherever in the stream they are: metadata may have been ahead of it, or behind."""
    image = Image(0, 10, {})
    image.add_container(ID, 5)
    for stream in (9, 11):
        assert not image.lacks(event(seq=5, stream=stream))
        assert image.lacks(event(seq=6, stream=stream))
    assert image.lacks(event("destroy", seq=7, stream=12))


def test_an_image_lacks_containers_that_are_made_later() -> None:
    image = Image(0, 10, {})
    assert not image.lacks(event("destroy", seq=9, stream=11)), "it was removed before the image was read"
    assert not image.lacks(event("create", seq=1, stream=10))
    assert image.lacks(event("create", seq=1, stream=11))
    assert image.lacks(event("start", seq=2, stream=12))
    assert image.lacks(event("destroy", seq=3, stream=13))
    assert not image.lacks(event("start", seq=4, stream=14))


async def test_an_image_is_no_older_than_what_is_stored() -> None:
    transport = FakeTransport(FakeServer())
    await transport.ensure_stream(EVENT_STREAM)
    for seed, seq, action in ((1, 1, "create"), (1, 2, "start"), (2, 1, "create"), (2, 7, "destroy")):
        envelope, body = container_event(action, status(seq=seq), seed=seed)
        channel = EVENTS["container", action]
        subject = channel.subject(envelope.node, envelope.subject_id)
        await transport.store(subject, channel.encode(body), envelope.headers())
    image = await newest(transport, 3)  # the fourth came meanwhile
    assert (image.start, image.place, image.basis) == (0, 4, {container_id(1): 2, container_id(2): GONE})


def test_an_image_of_other_things() -> None:
    image = Image(0, 10, {})
    image.add("network", "net1")
    assert not image.lacks(event("create", noun="network", subject="net1", stream=11))
    assert image.lacks(event("create", noun="network", subject="net2", stream=11))
    assert image.lacks(event("destroy", noun="network", subject="net1", stream=12))
    assert not image.lacks(event("pull", noun="image", subject="x", stream=10))


def test_an_image_shows_no_more_of_a_status_than_events_do() -> None:
    health = Health.model_validate({"status": "healthy", "log": [{"start_ns": 1, "output": "secret"}]})
    status = ContainerStatus(state=State.RUNNING, seq=3, error="secret", log_path="/secret", health=health)
    shown = public_status(record(1).model_copy(update={"status": status}))
    assert shown == {"state": "running", "seq": 3, "health": {"status": "healthy", "failing_streak": 0}}


def test_an_image_shows_no_secret() -> None:
    made = record()
    labels = {"tier": "front", "db.password": "hunter2"}
    made = made.model_copy(update={"spec": made.spec.model_copy(update={"labels": labels})})
    shown = public_attributes(made)
    assert shown == {"tier": "front", "db.password": "***", "image": made.spec.image.ref, "name": made.spec.name}
