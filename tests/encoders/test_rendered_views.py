import pytest

from encoders.rendered_views import rendered_views


def test_views_are_found_with_their_maps(tmp_path):
    for split in ("train", "test"):
        folder = tmp_path / split / "ours_7"
        for name in ("renders/00001.png", "renders/00000.png", "saved_feature/00000_fmap_CxHxW.pt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    views = rendered_views(tmp_path, 7, need_features=False)
    assert [(view.split, view.name, view.features is not None) for view in views] == [
        ("test", "00000", True),
        ("test", "00001", False),
        ("train", "00000", True),
        ("train", "00001", False),
    ]
    with pytest.raises(ValueError, match="00001.png has no saved_feature/00001_fmap_CxHxW.pt"):
        rendered_views(tmp_path, 7, need_features=True)
    with pytest.raises(ValueError, match="no pictures in test/ours_8/renders"):
        rendered_views(tmp_path, 8, need_features=False)
