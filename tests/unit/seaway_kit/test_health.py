from seaway_kit.health import Health


def test_ready_without_conditions() -> None:
    assert Health().ready


def test_all_conditions_must_hold() -> None:
    health = Health()
    trouble = ["no connection for 3 s"]
    health.set("disk", True)
    health.watch("bus", lambda: trouble[0])
    assert not health.ready
    assert health.conditions["bus"].detail == "no connection for 3 s"
    trouble[0] = ""
    assert health.ready
    health.set("disk", False, "full")
    assert not health.ready
    assert health.report() == {
        "ready": False,
        "conditions": {"disk": {"ok": False, "detail": "full"}, "bus": {"ok": True, "detail": ""}},
    }


def test_dropped_condition_counts_no_more() -> None:
    health = Health()
    health.set("disk", False)
    health.drop("disk")
    health.drop("unknown")
    assert health.ready
