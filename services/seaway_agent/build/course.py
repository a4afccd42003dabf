"""What the builder is called for in one build: it builds, then pushes what the image service lacks. All blocks."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from seaway_agent.build import files
from seaway_agent.build.builder import Builder
from seaway_agent.build.step_config import StepRefused
from seaway_agent.build.workspace import Workspace
from seaway_contracts.builds import BASES, BuildGo, BuildOptions, BuildRecord
from seaway_contracts.ids import is_container_id
from seaway_kit.failpoints import Failpoint, reach

_LAST_NOTES: Final = 8
_ASKING_S: Final = 10.0
_SHORT: Final = "the builder itself needed more than {bytes} bytes of memory (--build-memory-bytes)"


@dataclass(frozen=True)
class Course:
    """How builds run here. `limits`: the agent's own by name; `memory`: the builder's, in bytes."""

    buildah: str
    runtime: str
    store: Path
    limits: Mapping[str, tuple[int, int]]
    memory: int

    def prepare(self, workspace: Workspace, options: BuildOptions, go: BuildGo) -> None:
        """Write what the builder reads. Raises OSError."""
        place = workspace.directory
        workspace.write(
            {
                "registries.conf": files.registries_conf(go.url, go.bases),
                "policy.json": files.policy_json(go.bases),
                "arguments": files.arguments(options),
                "auth.json": files.auth_json(go.url, go.token),
                "storage.conf": '[storage]\ndriver = "overlay"\n',
                "containers.conf": "",
            }
        )
        workspace.write_program("runtime", files.runtime_script(self.runtime, place))
        workspace.write_program(f"{files.PROGRAMS}/git", files.git_script(place))

    def run(self, builder: Builder, workspace: Workspace, options: BuildOptions, go: BuildGo) -> BuildRecord:
        """The last record of the build. Raises OSError, BuildStopped."""
        place = workspace.directory
        words = files.global_words(self.buildah, self.store, place)
        env = files.environment(place) | files.thrift(self.memory)
        try:
            code = builder.run([*words, *files.build_words(options, go.bases, place, self.limits)], env)
        except StepRefused as error:
            builder.refuse(str(error))
            return BuildRecord(kind="end", code=1)
        image = builder.last_line
        reach(Failpoint.BUILD_BUILT)
        if code:
            if builder.was_short_of_memory:
                builder.refuse(_SHORT.format(bytes=self.memory))
            return BuildRecord(kind="end", code=code, text=_said(builder))
        if not is_container_id(image):
            return BuildRecord(kind="end", code=1, text="the builder named no image")
        builder.notes.clear()
        code = 0 if is_known(go, image) else builder.run([*words, *files.push_words(image, go, place)], env)
        reach(Failpoint.BUILD_PUSHED)
        if code:
            return BuildRecord(kind="end", code=code, text=f"the image can't be stored: {_said(builder)}")
        return BuildRecord(kind="end", text=f"sha256:{image}")


def is_known(go: BuildGo, image: str) -> bool:
    """Whether the image service has the image of that id; where it gives no answer, it hasn't."""
    url = urlsplit(go.url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc, timeout=_ASKING_S)
    try:
        headers = {"Authorization": f"Bearer {go.token}"}
        connection.request("HEAD", f"/v2/{BASES}{image}/manifests/latest", headers=headers)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _said(builder: Builder) -> str:
    return "\n".join(builder.notes[-_LAST_NOTES:])
