import pytest

from scene.formats import write_splats
from scene.layer_files import TABLE_NAME
from tests.scene.formats.arrays import cloud
from utils.errors import UserError
from utils.files import write_json
from viewer.row_groups import read_groups


def test_layers_are_runs_of_rows(tmp_path):
    ply = tmp_path / "point_cloud.ply"
    write_splats(ply, cloud(5))
    assert read_groups(ply, 5) == ()
    entries = [{"name": "wall", "count": 2, "sh_degree": 3}, {"name": "wall", "count": 0}, {"name": "sofa", "count": 3}]
    write_json(tmp_path / TABLE_NAME, {"version": 1, "layers": entries})
    groups = read_groups(ply, 5)
    assert [group.name for group in groups] == ["wall", "wall (1)", "sofa"]
    assert [group.rows.tolist() for group in groups] == [
        [True] * 2 + [False] * 3,
        [False] * 5,
        [False] * 2 + [True] * 3,
    ]


@pytest.mark.parametrize(
    "content",
    [[], {"layers": 3}, {"layers": [{"name": "a"}]}, {"layers": [{"name": "a", "count": 4}]}, {}],
)
def test_a_table_that_does_not_fit_is_one_line(tmp_path, content):
    write_splats(tmp_path / "point_cloud.ply", cloud(5))
    write_json(tmp_path / TABLE_NAME, content)
    with pytest.raises(UserError, match="layers"):
        read_groups(tmp_path / "point_cloud.ply", 5)
