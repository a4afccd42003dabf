"""The text format: what is escaped, left out and grouped."""

from seaway_agent.metrics.exposition import Many, Single, label_name, labels_text, render


def test_labels_are_sorted_escaped_and_not_empty() -> None:
    labels = {"name": 'say "hi"\\\n', "id": "/a", "image": ""}
    assert labels_text(labels) == r'id="/a",name="say \"hi\"\\\n"'


def test_label_names_have_letters_digits_and_underscores() -> None:
    assert label_name("com.docker.compose/project-1") == "com_docker_compose_project_1"


def test_each_family_has_its_head_and_its_samples_together() -> None:
    families = (
        Single("a_total", "counter", "As.", lambda number: number if number else None),
        Many("b", "gauge", "Bs.", lambda number: [('half="1"', number / 2), ('half="2"', number / 2)]),
    )
    assert "".join(render(families, [(0, 'n="0"'), (3, 'n="3"')])) == (
        "# HELP a_total As.\n"
        "# TYPE a_total counter\n"
        'a_total{n="3"} 3\n'
        "# HELP b Bs.\n"
        "# TYPE b gauge\n"
        'b{n="0",half="1"} 0.0\n'
        'b{n="0",half="2"} 0.0\n'
        'b{n="3",half="1"} 1.5\n'
        'b{n="3",half="2"} 1.5\n'
    )
