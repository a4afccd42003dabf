"""What is changed in recorded requests of buildx 0.13.1 and compose 2.26.1, and in answers of BuildKit 0.12.5."""

from pathlib import Path

import pytest

from seaway_api.buildkit.messages import WrongMessage, encode, new, parse
from seaway_api.buildkit.solve import (
    NamesInDockerfile,
    Refused,
    answer_as_moby,
    base_name,
    builder_version,
    built,
    names_in_dockerfile,
    plan_solve,
    read_gateway_solve,
    usable_bases,
    with_bases,
    workers_as_moby,
)

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


@pytest.mark.parametrize(("name", "image"), [("build.solve", "one,two:2"), ("compose.solve", "composed")])
def test_the_daemons_exporter_becomes_one_that_offers_blobs(name: str, image: str) -> None:
    before, planned = parse("SolveRequest", recorded(name)), plan_solve(recorded(name))
    after = parse("SolveRequest", planned.request)
    assert planned.ours and planned.session == before.Session and planned.ref == before.Ref
    wanted = {"name": image, "tar": "false", "compression": "uncompressed"}
    assert [(one.Type, dict(one.Attrs)) for one in after.Exporters] == [("docker", wanted)]
    assert after.ExporterDeprecated == "docker" and dict(after.ExporterAttrsDeprecated) == wanted
    assert dict(after.FrontendAttrs) == dict(before.FrontendAttrs)


def test_a_solve_without_our_exporter_stays_as_it_is() -> None:
    planned = plan_solve(recorded("internal.solve"))
    assert planned.request == recorded("internal.solve") and not planned.ours
    local = encode("SolveRequest", Ref="r", Session="s", Exporters=[new("Exporter", Type="local")])
    assert plan_solve(local).request == local


def test_old_clients_name_the_exporter_in_one_place_only() -> None:
    asked = encode("SolveRequest", Session="s", ExporterDeprecated="moby", ExporterAttrsDeprecated={"name": "a"})
    (exporter,) = parse("SolveRequest", plan_solve(asked).request).Exporters
    assert exporter.Type == "docker" and exporter.Attrs["tar"] == "false" and exporter.Attrs["name"] == "a"


def test_several_outputs_and_a_wanted_compression() -> None:
    outputs = [new("Exporter", Type="local"), new("Exporter", Type="moby", Attrs={"compression": "gzip", "push": "x"})]
    planned = plan_solve(encode("SolveRequest", Session="s", Exporters=outputs))
    local, ours = parse("SolveRequest", planned.request).Exporters
    assert local.Type == "local" and dict(ours.Attrs) == {"compression": "gzip", "tar": "false"}


def test_what_can_not_be_is_refused() -> None:
    with pytest.raises(Refused, match="one platform"):
        plan_solve(encode("SolveRequest", FrontendAttrs={"platform": "linux/amd64,linux/arm64"}))
    with pytest.raises(Refused, match="one platform"):
        read_gateway_solve(encode("GatewaySolveRequest", FrontendOpt={"platform": "linux/amd64,linux/arm64"}))
    for right in ("network.host", "security.insecure"):
        with pytest.raises(Refused, match=right):
            plan_solve(encode("SolveRequest", Entitlements=[right]))
    both = [new("Exporter", Type="moby"), new("Exporter", Type="oci", Attrs={"tar": "false"})]
    with pytest.raises(Refused, match="only one"):
        plan_solve(encode("SolveRequest", Exporters=both))
    for read in (plan_solve, read_gateway_solve, built, workers_as_moby):
        with pytest.raises(WrongMessage):
            read(b"\xff\xff\xff")


def test_the_answer_says_what_was_built_and_is_given_as_the_daemons() -> None:
    made = built(recorded("build.answer"))
    assert made is not None
    assert made.names == ("docker.io/library/one:latest", "docker.io/library/two:2")
    answer = parse("SolveResponse", answer_as_moby(recorded("build.answer"))).ExporterResponse
    assert answer["containerimage.digest"] == answer["containerimage.config.digest"] != made.manifest
    assert built(encode("SolveResponse")) is None


def test_workers_are_those_of_a_daemon_without_containerds_store() -> None:
    (worker,) = parse("ListWorkersResponse", workers_as_moby(recorded("workers"), "172.17.0.1")).record
    assert "org.mobyproject.buildkit.worker.snapshotter" not in worker.Labels
    assert worker.Labels["org.mobyproject.buildkit.worker.moby.host-gateway-ip"] == "172.17.0.1"
    assert builder_version(recorded("workers")) == "v0.12.5+debian"


# --- bases


def test_a_frontend_takes_bases_from_the_store_unless_it_pulls() -> None:
    asked = read_gateway_solve(recorded("compose.gateway"))
    assert (asked.local, asked.directory, asked.dockerfile) == (True, "dockerfile", "Dockerfile")
    pulls = encode("GatewaySolveRequest", Frontend="dockerfile.v0", FrontendOpt={"image-resolve-mode": "pull"})
    assert not read_gateway_solve(pulls).local
    assert not read_gateway_solve(encode("GatewaySolveRequest")).local
    remote = {"context": "https://git.example/x.git"}
    assert read_gateway_solve(encode("GatewaySolveRequest", Frontend="d", FrontendOpt=remote)).dockerfile == ""


def test_bases_are_contexts_that_do_not_replace_those_of_the_user() -> None:
    data = encode("GatewaySolveRequest", Frontend="d", FrontendOpt={"context:mine": "docker-image://x"})
    options = dict(parse("GatewaySolveRequest", with_bases(data, {"mine": "sha256:1", "a:2": "sha256:2"})).FrontendOpt)
    assert options == {"context:mine": "docker-image://x", "context:a:2": "oci-layout://seaway-store@sha256:2"}


def test_names_of_images_and_stages() -> None:
    text = (
        "# syntax=x\nFROM --platform=linux/amd64 docker.io/library/one AS Base\nfrom two:3 \\\n  as second\n"
        "COPY --from=four/five:6 a b\nRUN --mount=type=bind,from=seven,target=/x true\nFROM base\n"
    )
    names = names_in_dockerfile(text)
    assert names.stages == {"base", "second"}
    assert names.bases == {"one", "two:3", "four/five:6", "seven", "base"} and not names.open
    assert usable_bases(["one:latest", "base:latest", "unnamed:latest", "four/five:6"], names) == ["one", "four/five:6"]


def test_a_name_with_a_variable_may_be_any_image_but_no_stage() -> None:
    names = names_in_dockerfile("ARG B=x\nFROM $B AS one\nFROM one\n")
    assert usable_bases(["one:latest", "x:latest"], names) == ["x"]
    assert usable_bases(["one:latest", "x:2", "a/b:latest"], None) == ["x:2", "a/b"]
    assert base_name("a:latest") == "a"
    assert names_in_dockerfile("") == NamesInDockerfile(frozenset(), frozenset(), False)
