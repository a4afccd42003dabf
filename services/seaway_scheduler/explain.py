"""Explains a choice: for each node which filter refuses it, or its rank. Pure."""

from typing import Final

from seaway_contracts.placement import NodeVerdict, PlacementExplanation, PlaceRequest
from seaway_scheduler import filters
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.node import Node
from seaway_scheduler.place import Placed, all_wishes, place
from seaway_scheduler.rank import share_taken

MOST_VERDICTS: Final = 1000
"""So many fit into one message of the bus."""


def explain(request: PlaceRequest, cluster: Cluster, seed: int = 0) -> PlacementExplanation:
    """What `place` chooses with this seed, and why; nothing is placed. Raises SeawayError(BAD_REQUEST).

    The nodes behind the chosen one are in the order of their ranks with the container.
    """
    found = place(request, cluster, seed)
    chosen = found.node if isinstance(found, Placed) else ""
    judge = _Judge(Demand.of(request), cluster)
    verdicts = {node.name: judge.verdict(node) for node in cluster.nodes.values()}
    fit = [node for node in cluster.nodes.values() if not verdicts[node.name].filter]
    fit.sort(key=lambda node: (node.name != chosen, *judge.key(node)))
    ranked = [verdicts.pop(node.name).model_copy(update={"rank": rank}) for rank, node in enumerate(fit, 1)]
    refused = sorted(verdicts.values(), key=lambda one: one.node)
    return PlacementExplanation(
        node=chosen,
        refusal="" if isinstance(found, Placed) else str(found),
        strategy=cluster.policy.strategy,
        verdicts=(*ranked, *refused)[:MOST_VERDICTS],
        left_out=max(0, len(cluster) - MOST_VERDICTS),
    )


class _Judge:
    """Asks the filters and the ranking about single nodes."""

    def __init__(self, demand: Demand, cluster: Cluster) -> None:
        self._demand = demand
        self._ranking = cluster.order.ranking
        self._checks = filters.checks(demand, cluster)
        self._wishes = all_wishes(demand, cluster)
        self._with_image = cluster.holdings.with_image(demand.request.image_ref)

    def verdict(self, node: Node) -> NodeVerdict:
        """Which filter refuses the node and why, or what counts in its rank."""
        for name, check in self._checks.items():
            reason = check(node)
            if reason is not None:
                return NodeVerdict(node=node.name, filter=name, reason=reason)
        return NodeVerdict(
            node=node.name,
            full=share_taken(node, self._demand.cpus, self._demand.memory),
            running=node.running,
            containers=node.containers,
            unmet=tuple(name for name, wish in self._wishes.items() if not wish(node)),
            has_image=node.name in self._with_image,
        )

    def key(self, node: Node) -> tuple[object, ...]:
        """Smaller is better: wishes, rank, image, and how full exactly."""
        wishes = tuple(not wish(node) for wish in self._wishes.values())
        *rank, full = self._ranking(node, self._demand.cpus, self._demand.memory)
        return wishes, rank, node.name not in self._with_image, full, node.name
