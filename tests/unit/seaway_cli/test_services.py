from pathlib import Path

import pytest

from seaway_cli.errors import CliError
from seaway_cli.hosts import Listen, Tls
from seaway_cli.layout import Layout
from seaway_cli.services import ORDER, SuiteOptions, settings_of, spec_of
from seaway_kit.settings import ServiceSettings

LAYOUT = Layout(Path("/r"), Path("/u"))


def options(**changes: object) -> SuiteOptions:
    values: dict[str, object] = {"layout": LAYOUT, "token": "abcdef", "nats": "nats://n:1", "hosts": ("unix:///u/d",)}
    return SuiteOptions(**values | changes)  # type: ignore[arg-type]


def test_every_service_has_its_own_user() -> None:
    for service, user in (("api", "api"), ("agent", "agent.n2")):
        values = settings_of(service, options(node="n2", passwords=Path("/p")))
        assert values["nats_user"] == user
        assert values["nats_password_file"] == Path(f"/p/{user}")
        assert (values["root"], values["run"], values["nats"]) == (Path("/r"), Path("/u"), "nats://n:1")


def test_a_server_without_users() -> None:
    assert "nats_user" not in settings_of("api", options())


def test_all_are_told_of_the_metrics_token() -> None:
    assert "metrics_token_file" not in settings_of("api", options())
    for service in ORDER:
        assert settings_of(service, options(metrics_token_file=Path("/t")))["metrics_token_file"] == Path("/t")


def test_each_service_has_a_port_for_its_metrics() -> None:
    assert settings_of("api", options())["metrics"] == "127.0.0.1:0"
    assert settings_of("scheduler", options(metrics_port=9323))["metrics"] == "127.0.0.1:9325"
    assert settings_of("agent", options(metrics_port=500))["metrics"] == "127.0.0.1:504-603"


def test_what_only_one_service_is_told() -> None:
    told = options(
        node="n2",
        registry_mirrors=("http://m",),
        insecure_registries=("r:1",),
        default_address_pools=("base=10.10.0.0/16,size=24",),
        tls=Tls("c", "k", "a", verify=True),
    )
    assert settings_of("agent", told)["suite"] == "abcdef"
    assert settings_of("agent", told)["node"] == "n2"
    assert settings_of("image", told)["registry_mirror"] == ("http://m",)
    assert settings_of("image", told)["insecure_registry"] == ("r:1",)
    assert settings_of("metadata", told)["default_address_pool"] == ("base=10.10.0.0/16,size=24",)
    api = settings_of("api", told)
    assert (api["tls_cert"], api["tls_key"], api["tls_ca"]) == ("c", "k", "a")
    assert "tls_cert" not in settings_of("api", options())


def test_all_services_log_and_trace_alike() -> None:
    for service in ORDER:
        told = settings_of(service, options(log_level="debug", otlp_endpoint="http://c:4318"))
        assert (told["log_level"], told["otlp_endpoint"]) == ("debug", "http://c:4318")


def test_metadata_keeps_the_keys_of_nodes_for_the_suites_own_server() -> None:
    told = settings_of("metadata", options(own_nats=True))
    assert (told["node_keys"], told["supervisor"]) == (Path("/r/node_keys.json"), Path("/u/control.sock"))
    assert "node_keys" not in settings_of("metadata", options())


def test_listening_for_other_machines() -> None:
    listen = Listen("10.0.0.5", Tls("c", "k", "a"))
    told = options(listen=listen, nats=listen.nats_url(14222))
    image = settings_of("image", told)
    assert (image["http"], image["http_cert"], image["http_key"]) == ("10.0.0.5:0", "c", "k")
    for service in ("agent", "metadata"):
        assert settings_of(service, told)["nats"] == "tls://10.0.0.5:14222"
        assert settings_of(service, told)["nats_ca"] == "a"
    assert not {"http", "nats_ca"} & settings_of("image", options()).keys()


def test_where_the_registry_is() -> None:
    assert settings_of("image", options(registry_port=5000))["http"] == "127.0.0.1:5000"
    assert "http_cert" not in settings_of("image", options(registry_port=5000))
    listen = Listen("10.0.0.5", Tls("c", "k", "a"))
    assert settings_of("image", options(listen=listen, registry_port=5000))["http"] == "10.0.0.5:5000"


def test_spec_from_a_run_function() -> None:
    class OwnSettings(ServiceSettings):
        colour: str = "red"

    seen: list[OwnSettings] = []

    def run(settings: OwnSettings) -> int:
        seen.append(settings)
        return 7

    run.__annotations__["settings"] = OwnSettings
    assert spec_of("x", run, {"colour": "blue"}).run() == 7
    assert seen[0].colour == "blue"
    with pytest.raises(CliError, match="x: --node: ") as caught:
        spec_of("x", run, {"node": "*"})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("servers", "copies"), [(1, 1), (2, 1), (3, 3), (5, 3)])
def test_a_cluster_of_servers_keeps_three_copies(servers: int, copies: int) -> None:
    urls = ",".join(f"nats://n{number}:4222" for number in range(servers))
    assert settings_of("metadata", options(nats=urls)).get("replicas", 1) == copies
