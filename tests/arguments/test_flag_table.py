import dataclasses

import pytest

from arguments.flag_table import SCRIPT_GROUPS, field_docs, flags_markdown

GROUPS = sorted({group for groups in SCRIPT_GROUPS.values() for group in groups}, key=lambda group: group.__name__)


@pytest.mark.parametrize("group", GROUPS)
def test_every_field_has_a_text(group):
    docs = field_docs(group)
    assert group.__doc__
    for field in dataclasses.fields(group):
        assert len(docs[field.name]) > 10 and "\n" not in docs[field.name] and "|" not in docs[field.name], field.name


@pytest.mark.parametrize("script", SCRIPT_GROUPS)
def test_no_flag_is_in_two_groups_of_one_script(script):
    names = [field.name for group in SCRIPT_GROUPS[script] for field in dataclasses.fields(group)]
    assert len(names) == len(set(names))


def test_the_table_has_a_row_per_flag():
    rows = [line for line in flags_markdown().splitlines() if line.startswith("| `--")]
    assert len(rows) == sum(len(dataclasses.fields(group)) for group in GROUPS)
    assert "| `--iterations` | `30000` | Number of training steps. |" in rows
    assert "| `--foundation_model` `-f` `--fundation_model` |" in flags_markdown()
