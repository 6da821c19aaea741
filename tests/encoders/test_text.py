from __future__ import annotations

import pytest
import torch

from encoders.record import TeacherRecord
from encoders.text import SIMPLE_TEMPLATES, encode_prompts, open_text_encoder


def test_prompts_are_means_over_templates_of_unit_length():
    words = open_text_encoder(TeacherRecord("oracle_words", 32))
    bare = encode_prompts(words, ["red_car", "tree"])
    torch.testing.assert_close(bare, words.encode(["red car", "tree"]))
    mixed = encode_prompts(words, ["tree"], SIMPLE_TEMPLATES)
    written_out = words.encode([template.format("tree") for template in SIMPLE_TEMPLATES]).mean(0)
    torch.testing.assert_close(mixed[0], written_out / written_out.norm())
    assert torch.allclose(mixed.norm(dim=1), torch.ones(1))


@pytest.mark.parametrize("prompts", [[], [""], ["tree", "  "], ["_"]])
def test_empty_prompts_are_one_line(prompts):
    with pytest.raises(ValueError, match="expected one or more words"):
        encode_prompts(open_text_encoder(TeacherRecord("oracle_words", 8)), prompts)


def test_teachers_without_words_say_so():
    with pytest.raises(ValueError, match="'classical' knows no words.*click instead"):
        open_text_encoder(TeacherRecord("classical", 32))


def test_records_survive_their_file(tmp_path):
    record = TeacherRecord("lseg", 512, {"mode": "fast"})
    record.save(tmp_path)
    assert TeacherRecord.load(tmp_path, "other", 3) == record
    assert TeacherRecord.load(tmp_path / "elsewhere", "other", 3) == TeacherRecord("other", 3)
    (tmp_path / "teacher.json").write_text('{"name": 3}')
    with pytest.raises(ValueError, match="expected name, dim and options"):
        TeacherRecord.load(tmp_path, "", 0)
