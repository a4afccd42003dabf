"""Networks of users that are made, used and removed while something dies."""

from collections.abc import Callable

from chaos_rig.scene import LOOP, Scene

_SUBNET = "10.99.7.0/29"
_ASKED = "10.99.7.5"


def create(scene: Scene) -> None:
    """One network, with its subnet; removed, it gives both name and subnet back."""
    made: list[str] = []
    scene.crash(lambda: made.append(scene.client.network(scene.name, _SUBNET)))
    assert _names(scene).count(scene.name) == 1
    again = scene.client.steadily("POST", "/networks/create", {"Name": scene.name})
    assert again.status == 409, again
    _is_usable(scene, made[0])
    _is_free_again(scene)


def remove(scene: Scene) -> None:
    """Wholly: its name and its subnet are free."""
    network = scene.client.network(scene.name, _SUBNET)
    container = scene.client.create(f"{scene.name}-in", "exit 7", NetworkMode=scene.name)
    scene.client.start(container)
    assert scene.client.wait(container) == 7
    scene.client.remove(container)
    scene.crash(lambda: scene.client.remove_network(network))
    assert scene.name not in _names(scene)
    _is_free_again(scene)


def connect(scene: Scene) -> None:
    """A container that runs is in the network, with one address that nobody else gets."""

    def act(container: str, network: str) -> None:
        scene.crash(lambda: scene.client.connect(network, container))
        _is_in(scene, container, network)

    _with_container(scene, act)


def disconnect(scene: Scene) -> None:
    """A container that runs is out of it, and its address is free."""

    def act(container: str, network: str) -> None:
        scene.client.connect(network, container)
        address = _is_in(scene, container, network)
        scene.crash(lambda: scene.client.disconnect(network, container))
        assert network not in scene.client.networks(container)
        other = scene.client.create(f"{scene.name}-other", LOOP, NetworkMode="bridge")
        scene.client.start(other)
        scene.client.connect(network, other, address)
        assert _is_in(scene, other, network) == address
        scene.client.remove(other)

    _with_container(scene, act)


def claim(scene: Scene) -> None:
    """A container that was created while another had its address starts with it once that one is gone."""

    def act(container: str, network: str) -> None:
        scene.client.connect(network, container, _ASKED)
        body = {"Image": "busybox", "Cmd": ["sh", "-c", LOOP], "HostConfig": {"NetworkMode": network}}
        endpoints = {"EndpointsConfig": {scene.name: {"IPAMConfig": {"IPv4Address": _ASKED}}}}
        other = scene.client.make(f"{scene.name}-other", body | {"NetworkingConfig": endpoints})
        assert scene.suite.api.request("POST", f"/containers/{other}/start").status == 403
        scene.client.disconnect(network, container)
        scene.crash(lambda: scene.client.start(other))
        assert _is_in(scene, other, network) == _ASKED
        scene.client.remove(other)

    _with_container(scene, act)


def restore(scene: Scene) -> None:
    """An agent that finds its bridges gone makes them again."""

    def act(container: str, network: str) -> None:
        scene.client.connect(network, container)
        address = _is_in(scene, container, network)
        scene.suite.kill("agent")
        scene.crash(lambda: None, at_once=True)
        assert _is_in(scene, container, network) == address

    _with_container(scene, act)


def _with_container(scene: Scene, act: Callable[[str, str], None]) -> None:
    """Do that with a container that runs on the default bridge, and a network; then all is given back."""
    network = scene.client.network(scene.name, _SUBNET)
    container = scene.running(NetworkMode="bridge")
    act(container, network)
    scene.client.remove(container)
    _is_usable(scene, network)
    _is_free_again(scene)


def _names(scene: Scene) -> list[str]:
    return [row["Name"] for row in scene.client.steadily("GET", "/networks").json()]


def _is_in(scene: Scene, container: str, network: str) -> str:
    """Its address in the network: inspect, the network and the container's own interface agree on it."""
    address = scene.client.networks(container)[network]
    shown = scene.client.steadily("GET", f"/networks/{network}").json()["Containers"]
    assert shown[container]["IPv4Address"].partition("/")[0] == address, shown
    assert address in scene.client.addresses(container)
    return address


def _is_usable(scene: Scene, network: str) -> None:
    """All of its five addresses can be had: none is lost, and none is given twice."""
    made = []
    for number in range(5):
        made.append(scene.client.create(f"{scene.name}-{number}", LOOP, NetworkMode=network))
        scene.client.start(made[-1])
    assert len({_is_in(scene, container, network) for container in made}) == len(made)
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": network}}
    sixth = scene.suite.api.request("POST", f"/containers/create?name={scene.name}-5", body)
    assert sixth.status >= 400, sixth
    for container in made:
        scene.client.remove(container)


def _is_free_again(scene: Scene) -> None:
    """Remove it if it is there; another one may have its name and its subnet."""
    for _ in range(2):
        if scene.name in _names(scene):
            scene.client.remove_network(scene.name)
        assert scene.name not in _names(scene)
        scene.client.network(scene.name, _SUBNET)
    scene.client.remove_network(scene.name)
