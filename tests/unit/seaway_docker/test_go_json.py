import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import decode_body, read_body
from seaway_docker.model_container import ContainerCreate, ContainerUpdate, ExecCreate, ExecStart
from seaway_docker.model_host import HostConfig, PortBinding


def create(**fields: object) -> ContainerCreate:
    return read_body(ContainerCreate, fields)


def refusal(raw: bytes) -> str:
    with pytest.raises(InvalidParameter) as caught:
        decode_body(ContainerCreate, raw)
    return str(caught.value)


def test_command_as_text_or_list() -> None:
    body = create(Image="busybox", Cmd="ls", Entrypoint=["a", "b"], HostConfig={"CapAdd": "NET_ADMIN"})
    assert (body.cmd, body.entrypoint, body.host_config.cap_add) == (["ls"], ["a", "b"], ["NET_ADMIN"])


def test_keys_in_any_case() -> None:
    body = create(image="busybox", hostconfig={"memory": 7, "PORTBINDINGS": {"80/tcp": [{"hostport": "1"}]}})
    assert body.image == "busybox"
    assert body.host_config.memory == 7
    assert body.host_config.port_bindings == {"80/tcp": [PortBinding(host_port="1")]}


def test_the_keys_of_maps_are_left_alone() -> None:
    body = create(
        Labels={"image": "x", "Image": "y"}, NetworkingConfig={"EndpointsConfig": {"Aliases": {"aliases": ["a"]}}}
    )
    assert body.labels == {"image": "x", "Image": "y"}
    endpoints = body.networking_config.endpoints_config
    assert endpoints is not None and endpoints["Aliases"] is not None and endpoints["Aliases"].aliases == ["a"]


def test_null_is_the_zero_value_everywhere() -> None:
    body = create(
        Image="busybox",
        Hostname=None,
        Cmd=None,
        HostConfig=None,
        Tty=None,
        Env=[None, "A=1"],
        Labels={"a": None},
        ExposedPorts={"80/tcp": None},
        NetworkingConfig={"EndpointsConfig": {"net": None}},
    )
    assert (body.hostname, body.cmd, body.host_config, body.tty) == ("", None, HostConfig(), False)
    assert (body.env, body.labels, body.exposed_ports) == (["", "A=1"], {"a": ""}, {"80/tcp": {}})
    assert body.networking_config.endpoints_config == {"net": None}
    assert read_body(HostConfig, {"PortBindings": {"80/tcp": None}, "Mounts": [None]}).port_bindings == {"80/tcp": None}


def test_null_and_empty_stay_apart() -> None:
    assert create(Image="x", Entrypoint=[]).entrypoint == []
    assert create(Image="x").entrypoint is None
    assert create(Image="x").to_json_fields()["HostConfig"]["Binds"] is None


def test_json_leaves_out_what_go_leaves_out() -> None:
    body = create(
        Image="x",
        StopTimeout=0,
        Healthcheck={"Test": ["NONE"]},
        HostConfig={"Init": False, "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}]},
    )
    config, host = body.config().to_json_fields(), body.host_config.to_json_fields()
    assert "Shell" not in config and "NetworkDisabled" not in config and "ExposedPorts" not in config
    assert (config["StopTimeout"], config["Healthcheck"], config["Cmd"]) == (0, {"Test": ["NONE"]}, None)
    assert host["Mounts"] == [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}]
    assert host["Init"] is False and "Init" not in HostConfig().to_json_fields() and host["OomKillDisable"] is None


def test_later_key_wins() -> None:
    assert decode_body(ContainerCreate, b'{"Image":"a","image":"b"}').image == "b"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "invalid JSON: got EOF while reading request body"),
        (b"{} x", "unexpected content after JSON"),
        (b'{"Image":"a"} {}', "unexpected content after JSON"),
        (b"[]", "invalid JSON: json: cannot unmarshal array into field the body of type object"),
        (b'{"Cmd":5}', "invalid JSON: json: cannot unmarshal number 5 into field Cmd of type list"),
        (b'{"Cmd":[1]}', "invalid JSON: json: cannot unmarshal number 1 into field Cmd.0 of type string"),
        (b'{"Tty":"x"}', "invalid JSON: json: cannot unmarshal string into field Tty of type bool"),
        (
            b'{"HostConfig":{"Memory":"5"}}',
            "invalid JSON: json: cannot unmarshal string into field HostConfig.Memory of type int",
        ),
        (
            b'{"HostConfig":{"Memory":1.5}}',
            "invalid JSON: json: cannot unmarshal number 1.5 into field HostConfig.Memory of type int",
        ),
        (
            b'{"HostConfig":{"Memory":9223372036854775808}}',
            "invalid JSON: json: cannot unmarshal number 9223372036854775808 into field HostConfig.Memory of type int",
        ),
        (b'{"HostConfig":5}', "invalid JSON: json: cannot unmarshal number 5 into field HostConfig of type object"),
        (
            b'{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":80}]}}}',
            "invalid JSON: json: cannot unmarshal number 80 into field "
            "HostConfig.PortBindings.80/tcp.0.HostPort of type string",
        ),
        (b'{"Labels":{"a":true}}', "invalid JSON: json: cannot unmarshal bool into field Labels.a of type string"),
        (b'{"AttachStdin":1}', "invalid JSON: json: cannot unmarshal number 1 into field AttachStdin of type bool"),
        (b'{"StopTimeout":true}', "invalid JSON: json: cannot unmarshal bool into field StopTimeout of type int"),
    ],
)
def test_refusals_name_the_field(raw: bytes, message: str) -> None:
    assert refusal(raw) == message


@pytest.mark.parametrize("raw", [b"{", b"[" * 100_000, b'{"Image":"\xff"}', b"nope", b'{"a":' * 50_000])
def test_broken_json(raw: bytes) -> None:
    assert refusal(raw).startswith("invalid JSON: ")


def test_an_empty_config_is_refused_when_it_is_asked_for() -> None:
    for raw in (b"{}", b"null", b'{"HostConfig":{"Memory":9}}'):
        with pytest.raises(InvalidParameter, match="config cannot be empty in order to create a container"):
            decode_body(ContainerCreate, raw).config()
    config = create(Image="busybox", HostConfig={"Memory": 9}).config()
    assert config.image == "busybox"
    assert "HostConfig" not in config.to_json_fields()


def test_update_tells_what_was_given() -> None:
    body = read_body(ContainerUpdate, {"Memory": 0, "RestartPolicy": {"Name": "always"}, "CpuShares": None})
    assert body.model_fields_set == {"memory", "restart_policy"}


def test_exec_bodies() -> None:
    assert read_body(ExecCreate, {"Cmd": ["ls"], "AttachStdout": True}).cmd == ["ls"]
    assert read_body(ExecStart, {"Detach": False, "Tty": True, "ConsoleSize": [24, 80]}).console_size == [24, 80]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Image", "cmd", "HostConfig", "mounts", "PortBindings", "80/tcp", "HOSTPORT", "Labels", "Init"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_any_json_gives_a_body_or_a_docker_error(data: object) -> None:
    try:
        body = read_body(ContainerCreate, data)
    except InvalidParameter as error:
        assert str(error).startswith("invalid JSON: ")
        return
    assert read_body(ContainerCreate, body.to_json_fields()) == body


def test_a_pointer_to_an_empty_object_is_shown() -> None:
    body = {"Image": "x", "HostConfig": {"Mounts": [{"Type": "bind", "BindOptions": {}}]}}
    mounts = read_body(ContainerCreate, body).host_config.to_json_fields()["Mounts"]
    assert mounts == [{"Type": "bind", "BindOptions": {}}]
