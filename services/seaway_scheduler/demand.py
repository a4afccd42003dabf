"""A request, with all that filters and ranks ask about worked out once. Pure."""

from dataclasses import dataclass

from seaway_contracts.nodes import Reservation, reservation, wanted
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.conditions import Matcher, constraint, matcher


@dataclass(frozen=True, slots=True)
class Demand:
    """`cpus` (in billionths of a core) and `memory` are what the limits promise: they only weigh in the rank."""

    request: PlaceRequest
    cpus: int
    memory: int
    reservation: Reservation
    host_ports: frozenset[int]
    constraints: tuple[Matcher, ...]
    affinities: tuple[Matcher, ...]

    @classmethod
    def of(cls, request: PlaceRequest) -> "Demand":
        """Raises SeawayError (BAD_REQUEST) for a condition that can't be asked."""
        want = wanted(request.resources)
        return cls(
            request,
            want.nano_cpus,
            want.memory,
            reservation(request.resources),
            frozenset(request.host_ports),
            tuple(map(constraint, request.constraints)),
            tuple(map(matcher, request.affinities)),
        )
