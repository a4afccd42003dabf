"""Commands to a real agent, and the events that follow."""

import asyncio
import fcntl
import json
import os
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_agent.kernel.cgroup_text import CgroupMode, cgroups_path, suite_cgroup
from seaway_agent.kernel.cgroups import host_layout
from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.commands import UpdateContainer
from seaway_contracts.containers import Command as Process
from seaway_contracts.containers import LogConfig, Mount, Namespaces, Resources, RestartPolicy, Security, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import ContainerEvent, PublicContainerEvent
from seaway_testing.builders import networking

pytestmark = pytest.mark.root


async def test_a_run_from_create_to_destroy_is_told_in_order(rig: AgentRig) -> None:
    container = await rig.ran("sh", "-c", "echo hello; exit 7")
    died = await rig.died(container)
    await rig.remove(container)
    await rig.wait_for(container, "destroy")
    assert rig.told(container) == ["create", "start", "die", "destroy"]
    assert (died.status.exit_code, died.attributes["exitCode"], died.status.state) == (7, "7", State.EXITED)


async def test_events_have_consecutive_numbers_and_name_their_cause(rig: AgentRig) -> None:
    command = Command.new("somebody")
    container = await rig.create(rig.spec("true"), command)
    await rig.start_container(container)
    await rig.died(container)
    own = [e.envelope for e in rig.events if e.envelope.subject_id == container]
    assert [envelope.seq for envelope in own] == [1, 2, 3]
    assert (own[0].cause, own[0].actor) == (command.id, "somebody")


async def test_services_are_told_all_of_an_event_and_the_stream_has_its_public_part(rig: AgentRig) -> None:
    secret = Process(cmd=("sh", "-c", "exit 3"), env=("PASSWORD=secret",))
    container = await rig.create(rig.spec(command=secret))
    await rig.start_container(container)
    await rig.died(container)
    asked = UpdateContainer(id=container, restart=RestartPolicy(name="on-failure"))
    await rig.bus.call(catalogue.UPDATE, asked, node=rig.node)
    await rig.wait_for(container, "update")
    await rig.all_stored()
    own = [e for e in rig.events if e.envelope.subject_id == container]
    stored = [e for e in await rig.stored() if e.envelope.subject_id == container]
    assert all(e.told for e in own)
    assert [e.envelope for e in own] == [e.envelope for e in stored]
    told = {e.envelope.action: ContainerEvent.model_validate_json(e.data) for e in own}
    assert told["create"].spec is not None and told["create"].spec.command == secret
    assert told["update"].spec is not None
    assert (told["update"].spec.restart.name, told["update"].spec.command) == ("on-failure", secret)
    assert told["die"].status.log_path
    for event in stored:
        public, whole = PublicContainerEvent.model_validate_json(event.data), told[event.envelope.action]
        assert json.loads(event.data) == public.model_dump(mode="json", exclude_defaults=True), "nothing but that"
        assert (public.status.state, public.status.exit_code) == (whole.status.state, whole.status.exit_code)
        assert public.attributes == whole.attributes


async def test_lines_of_the_log_driver_nats_are_published(rig: AgentRig) -> None:
    heard: list[str] = []
    await rig.bus.on_message(catalogue.LOG_LINES, lambda body: heard.extend(line.text for line in body.lines))
    await rig.ran("sh", "-c", "echo one; echo two", log=LogConfig(driver="nats"))
    await rig.until(lambda: heard == ["one", "two"])


async def test_the_inventory_tells_of_those_it_is_asked_for(rig: AgentRig) -> None:
    first, second = [await rig.create(rig.spec("true")) for _ in range(2)]
    assert set(await rig.inventory()) == {first, second}
    assert set(await rig.inventory(second, "gone")) == {second}


async def test_output_is_whole_when_die_is_told(rig: AgentRig) -> None:
    container = await rig.ran("sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
    assert rig.output(container).splitlines() == [f"line {i}" for i in range(2000)]


async def test_a_program_that_is_not_there_is_refused_and_nothing_is_left(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("no-such-program"))
    with pytest.raises(SeawayError, match="executable file") as refusal:
        await rig.start_container(container)
    assert refusal.value.status == 400
    assert (await rig.inventory())[container].status.state is State.CREATED
    assert (await rig.inventory())[container].status.exit_code == 127
    assert rig.shims() == []


async def test_a_file_that_is_no_program_is_refused(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("/etc/notes"))
    with pytest.raises(SeawayError, match=r"(?i)permission denied"):
        await rig.start_container(container)
    assert (await rig.inventory())[container].status.exit_code == 126


async def test_stop_sends_the_signal_and_then_kills(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"))
    await rig.start_container(container)
    await rig.stop(container, timeout_s=1)
    died = await rig.died(container)
    assert died.status.exit_code == 137
    assert rig.told(container) == ["create", "start", "kill", "kill", "stop", "die"]


async def test_the_same_command_twice_does_its_work_once(rig: AgentRig) -> None:
    spec, command = rig.spec("sleep", "60"), Command.new()
    await asyncio.gather(rig.create(spec), rig.create(spec), return_exceptions=True)
    first, second = await asyncio.gather(rig.start_container(spec.id, command), rig.start_container(spec.id, command))
    third = await rig.start_container(spec.id, command)
    assert first.status.pid == second.status.pid == third.status.pid > 0
    assert rig.told(spec.id).count("start") == 1
    with pytest.raises(SeawayError) as refusal:
        await rig.start_container(spec.id)
    assert refusal.value.code is Code.NOT_MODIFIED


async def test_remove_of_a_running_container_needs_force(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("sleep", "60"))
    await rig.start_container(container)
    with pytest.raises(SeawayError, match="container is running: stop the container before removing or force remove"):
        await rig.remove(container)
    command = Command.new()
    await rig.remove(container, force=True, command=command)
    await rig.remove(container, force=True, command=command)
    await rig.wait_for(container, "destroy")
    assert rig.told(container) == ["create", "start", "kill", "die", "destroy"]


async def test_limits_reach_the_cgroup(rig: AgentRig) -> None:
    limits = Resources(memory=64 << 20, nano_cpus=500_000_000, pids_limit=20)
    container = await rig.create(rig.spec("sleep", "60", resources=limits))
    pid = (await rig.start_container(container)).status.pid
    layout, path = host_layout(), cgroups_path(suite_cgroup(rig.suite), container)
    with open(f"/proc/{pid}/cgroup") as file:
        rows = [line.strip().split(":", 2) for line in file]
    rows = [row for row in rows if row[1] or layout.mode is CgroupMode.V2]
    assert rows and all(row[2].endswith(path) for row in rows)
    name = "memory.max" if layout.mode is CgroupMode.V2 else "memory.limit_in_bytes"
    assert Path(f"{layout.directory('memory', path)}/{name}").read_text() == f"{64 << 20}\n"


async def test_on_failure_restarts_and_counts(rig: AgentRig) -> None:
    policy = RestartPolicy(name="on-failure", max_retries=2)
    container = await rig.create(rig.spec("sh", "-c", "exit 3", restart=policy))
    await rig.start_container(container)
    await rig.died(container, times=3)
    await rig.until(lambda: rig.told(container).count("die") == 3)
    status = (await rig.inventory())[container].status
    assert (status.restart_count, status.state, status.exit_code) == (2, State.EXITED, 3)
    assert rig.told(container) == ["create", "start", "die", "start", "die", "start", "die"]


async def test_auto_remove_destroys_after_the_end(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("true", auto_remove=True))
    await rig.start_container(container)
    await rig.wait_for(container, "destroy")
    assert rig.told(container) == ["create", "start", "die", "destroy"]
    assert container not in await rig.inventory()


async def test_bridge_gives_an_address_and_tells_of_it(rig: AgentRig) -> None:
    container = await rig.create(rig.spec("sleep", "60", net="bridge"))
    status = (await rig.start_container(container)).status
    assert status.endpoints[0].network == "bridge"
    assert status.endpoints[0].address.rpartition(".")[0].count(".") == 2
    await rig.wait_for(container, "start")
    words = [f"{e.envelope.noun} {e.envelope.action}" for e in rig.events]
    assert words.index("network connect") < words.index("container start")


async def test_a_bad_capability_is_refused_at_create_an_unknown_network_at_start(rig: AgentRig) -> None:
    with pytest.raises(SeawayError, match='invalid capability: "FLY"'):
        await rig.create(rig.spec("true", security=Security(cap_add=("FLY",))))
    assert await rig.inventory() == {}
    container = await rig.create(rig.spec("true", network=networking("nowhere")))
    with pytest.raises(SeawayError, match="network nowhere not found"):
        await rig.start_container(container)


async def test_terminal_and_user_and_workdir(rig: AgentRig) -> None:
    script = "id -u; pwd; tty; echo $TERM"
    process = Process(cmd=("sh", "-c", script), tty=True, user="1000:1000", workdir="/made/here")
    container = await rig.ran(command=process)
    said = [line.strip() for line in rig.output(container).splitlines()]
    assert said == ["1000", "/made/here", "/dev/pts/0", "xterm"]


async def test_another_containers_network_and_processes_are_joined(rig: AgentRig) -> None:
    partner = await rig.create(rig.spec("sleep", "60", net="bridge"))
    pid = (await rig.start_container(partner)).status.pid
    joiner = rig.spec("sleep", "60", net=f"container:{partner}", namespaces=Namespaces(pid=f"container:{partner}"))
    other = (await rig.start_container(await rig.create(joiner))).status.pid
    for kind in ("net", "pid"):
        assert os.readlink(f"/proc/{other}/ns/{kind}") == os.readlink(f"/proc/{pid}/ns/{kind}")
    assert Path(f"/proc/{other}/root/etc/hosts").read_text() == Path(f"/proc/{pid}/root/etc/hosts").read_text()
    await rig.remove(joiner.id, force=True)


async def test_a_container_that_does_not_run_can_not_be_joined(rig: AgentRig) -> None:
    partner = await rig.create(rig.spec("true"))
    joiner = await rig.create(rig.spec("true", net=f"container:{partner}"))
    with pytest.raises(SeawayError, match="cannot join network of a non running container") as refusal:
        await rig.start_container(joiner)
    assert refusal.value.status == 409


async def test_others_are_launched_while_a_volume_is_filled(rig: AgentRig) -> None:
    held = Mount(type="volume", source="held", target="/nothing")
    await rig.create(rig.spec("true", mounts=(held,)))
    volume = os.open(rig.root / "agent" / rig.node / "volumes/held", os.O_RDONLY)
    try:
        fcntl.flock(volume, fcntl.LOCK_EX)  # as another container does while it fills it
        spec = rig.spec("ls", "/bin", mounts=(held.model_copy(update={"target": "/bin"}),))
        creating = asyncio.ensure_future(rig.create(spec))
        await rig.ran("true")
        assert not creating.done()
    finally:
        os.close(volume)
    await creating
    await rig.start_container(spec.id)
    await rig.died(spec.id)
    assert "busybox" in rig.output(spec.id)


async def test_a_create_that_fails_leaves_no_volume(rig: AgentRig) -> None:
    mounts = (
        Mount(type="volume", source="a" * 64, target="/a", anonymous=True),
        Mount(type="volume", source="named", target="/etc/passwd"),
    )
    with pytest.raises(SeawayError, match="source /etc/passwd is not directory"):
        await rig.create(rig.spec("true", mounts=mounts))
    await rig.until(lambda: not any((rig.root / "agent" / rig.node / "volumes").iterdir()))
