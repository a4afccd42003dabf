"""What the agent can be told."""

import pytest

from seaway_agent.settings import AgentSettings


def test_labels_are_those_that_a_node_may_have() -> None:
    assert AgentSettings(label=("disk=ssd", "gpu")).label == ("disk=ssd", "gpu")
    for label, sentence in (("db.password=x", "has the name of a secret"), ("a b=c", "is no label of a node")):
        with pytest.raises(ValueError, match=sentence):
            AgentSettings(label=(label,))
