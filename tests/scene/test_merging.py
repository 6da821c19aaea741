"""Merging, SH degrees and what is not worth keeping."""

from __future__ import annotations

import numpy as np
import pytest

from scene.merging import merged, sh_degree_of, with_sh_degree, worth_keeping
from tests.scene.formats.arrays import cloud


@pytest.mark.parametrize("old", [0, 1, 2, 3])
@pytest.mark.parametrize("new", [0, 1, 2, 3])
def test_degrees_keep_the_lower_coefficients(old, new):
    arrays = cloud(count=5, degree=old)
    changed = with_sh_degree(arrays, new)
    assert sh_degree_of(changed) == new
    kept = (min(old, new) + 1) ** 2 - 1
    np.testing.assert_array_equal(changed.f_rest[:, :kept], arrays.f_rest[:, :kept])
    assert not changed.f_rest[:, kept:].any()
    np.testing.assert_array_equal(changed.f_dc, arrays.f_dc)


def test_parts_come_one_after_the_other(capsys):
    one, other = cloud(4, degree=1, feature_dim=3), cloud(6, degree=3, feature_dim=3, seed=1)
    both = merged([one, other])
    assert len(both) == 10 and sh_degree_of(both) == 3 and both.semantic_feature.shape == (10, 3)
    np.testing.assert_array_equal(both.xyz, np.concatenate([one.xyz, other.xyz]))
    np.testing.assert_array_equal(both.f_rest[:4, :3], one.f_rest)
    assert not capsys.readouterr().err


def test_features_of_other_widths_are_left_out(capsys):
    both = merged([cloud(4, feature_dim=3), cloud(4)])
    assert both.semantic_feature is None
    assert "different widths (none, 3)" in capsys.readouterr().err


def test_what_nobody_sees_goes():
    arrays = cloud(200, degree=0)
    arrays.opacity[:] = 1
    assert worth_keeping(arrays).all()
    arrays.opacity[3] = -9  # 1 / 8000
    arrays.xyz[5] = (900, 0, 0)
    np.testing.assert_array_equal(np.flatnonzero(~worth_keeping(arrays)), [3, 5])


def test_all_in_one_place_is_kept():
    arrays = cloud(40, degree=0)
    arrays.xyz[:], arrays.opacity[:] = 1, 1
    assert worth_keeping(arrays).all()
    assert worth_keeping(cloud(0, degree=0)).shape == (0,)
