import pytest

from encoders.base import find_images, image_key, keyed


@pytest.mark.parametrize(
    ("name", "key"),
    [("0001.jpg", "0001"), ("a/b.png", "a__b"), ("./train/r_0.png", "train__r_0"), ("a.b.c.png", "a"),
     ("v1.2/x.y.jpg", "v1.2__x")],
)  # fmt: skip
def test_key_is_the_part_before_the_first_dot(name, key):
    assert image_key(name) == key


def test_names_that_share_a_key_are_refused(tmp_path):
    with pytest.raises(ValueError, match="share the key 'a'"):
        keyed({"a.jpg": tmp_path / "a.jpg", "a.png": tmp_path / "a.png"})
    with pytest.raises(ValueError, match="empty"):
        image_key("./")


def test_pictures_are_found_in_every_layout(tmp_path):
    for index, names in enumerate(
        (["images/b.png", "images/sub/a.JPG"], ["train/x.png", "test/y.png"], ["ims/0/1.jpg"])
    ):
        for name in names:
            path = tmp_path / str(index) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert list(find_images(tmp_path / "0")) == ["b.png", "sub/a.JPG"]
    assert list(find_images(tmp_path / "1")) == ["train/x.png", "test/y.png"]
    assert list(find_images(tmp_path / "2")) == ["0/1.jpg"]
    with pytest.raises(ValueError, match="no pictures"):
        find_images(tmp_path / "3")
