"""Pictures: compositing, masks, lens distortion, laziness and memory."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from scene import image_store
from scene.cameras import Camera
from scene.datasets.undistort import undistort
from scene.image_store import ImageStore
from scene.scene_info import CameraInfo, DatasetError, DepthMap
from utils.errors import UserError

WIDTH, HEIGHT = 12, 8


def picture(folder, name="a.png", channels=3, size=(WIDTH, HEIGHT)):
    """Writes noise, returns its pixels."""
    pixels = np.random.default_rng(sum(name.encode())).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return pixels


def camera_of(folder, name="a.png", resolution=-1, **changes):
    """The camera of a picture in a folder."""
    values = {"fx": 10.0, "fy": 10.0, "cx": 6.0, "cy": 4.0, "width": WIDTH, "height": HEIGHT} | changes
    return Camera.from_info(CameraInfo(name, folder / name, np.eye(4), **values), resolution=resolution)


def test_plain_picture(tmp_path):
    pixels = picture(tmp_path)
    camera = camera_of(tmp_path)
    truth = ImageStore([camera], "cpu").get(camera, torch.ones(3))
    assert truth.alpha is None and truth.weight is None
    np.testing.assert_array_equal((truth.image * 255).round().numpy().transpose(1, 2, 0), pixels)


@pytest.mark.parametrize("background", [None, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.9, 0.4)])
def test_transparent_picture_is_composited_on_the_background_of_the_render(tmp_path, background):
    pixels = picture(tmp_path, channels=4).astype(np.float32) / 255
    camera = camera_of(tmp_path)
    truth = ImageStore([camera], "cpu").get(camera, None if background is None else torch.tensor(background))
    alpha = pixels[:, :, 3:]
    expected = pixels[:, :, :3] * alpha + np.array(background or (0, 0, 0)) * (1 - alpha)
    np.testing.assert_allclose(truth.image.numpy().transpose(1, 2, 0), expected, atol=1e-6)
    np.testing.assert_allclose(truth.alpha.numpy()[0], alpha[:, :, 0], atol=1e-6)


@pytest.mark.parametrize("how", ["drop", "black", "white"])
def test_a_flattened_picture_is_opaque_whatever_the_background(tmp_path, how):
    pixels = picture(tmp_path, channels=4).astype(np.float32)
    camera = camera_of(tmp_path)
    store = ImageStore([camera], "cpu", flatten=how)
    assert store.total_bytes == 3 * WIDTH * HEIGHT
    truth = store.get(camera, torch.tensor([0.2, 0.9, 0.4]))
    alpha = pixels[:, :, 3:] / 255
    expected = {
        "drop": pixels[:, :, :3],
        "black": pixels[:, :, :3] * alpha,
        "white": pixels[:, :, :3] * alpha + 255 * (1 - alpha),
    }[how]
    assert truth.alpha is None and store.stored(camera).pixels.shape[0] == 3
    np.testing.assert_allclose(truth.image.numpy().transpose(1, 2, 0), np.rint(expected) / 255, atol=1e-6)


def test_grey_picture_has_three_channels(tmp_path):
    Image.fromarray(np.full((HEIGHT, WIDTH), 51, np.uint8)).save(tmp_path / "a.png")
    camera = camera_of(tmp_path)
    image = ImageStore([camera], "cpu").get(camera).image
    torch.testing.assert_close(image, torch.full((3, HEIGHT, WIDTH), 0.2))


@pytest.mark.parametrize("on", [1, 255])
def test_zero_pixels_of_the_mask_weigh_nothing(tmp_path, on):
    picture(tmp_path)
    mask = np.full((HEIGHT, WIDTH), on, np.uint8)
    mask[:, :4] = 0
    Image.fromarray(mask).save(tmp_path / "m.png")
    camera = camera_of(tmp_path, mask_path=tmp_path / "m.png")
    store = ImageStore([camera], "cpu")
    weight = store.get(camera).weight
    assert weight.shape == (1, HEIGHT, WIDTH)
    assert weight[:, :, :4].max() == 0 and weight[:, :, 4:].min() == 1
    small = store.get(camera.resized(4, 4)).weight  # pixels are 3 wide: the second one is two thirds good
    np.testing.assert_allclose(small[0, 0].numpy(), [0, 2 / 3, 1, 1], atol=0.01)


def test_mask_of_another_size_is_stretched(tmp_path):
    picture(tmp_path)
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "m.png")
    camera = camera_of(tmp_path, mask_path=tmp_path / "m.png")
    weight = ImageStore([camera], "cpu").get(camera).weight
    assert weight[:, :, :6].max() == 0 and weight[:, :, 6:].min() == 1


def test_distorted_picture_is_straightened_and_its_border_weighs_nothing(tmp_path):
    pixels = picture(tmp_path)
    camera = camera_of(tmp_path, distortion=(0.5, 0.0, 0.0, 0.0))
    truth = ImageStore([camera], "cpu").get(camera)
    straight, valid = undistort(pixels, camera.info)
    np.testing.assert_array_equal((truth.image * 255).round().numpy().transpose(1, 2, 0), straight)
    np.testing.assert_array_equal(truth.weight.numpy()[0], valid)
    assert 0 < valid.mean() < 1


@pytest.mark.parametrize(
    ("values", "expected"), [((0, 1), (0, 1)), ((0, 255), (0, 1)), ((0, 51, 255), (0, 0.2, 1)), ((0,), (0,))]
)
def test_foreground_is_a_share_however_it_was_written(tmp_path, values, expected):
    picture(tmp_path)
    mask = np.resize(np.array(values, np.uint8), (HEIGHT, WIDTH))
    Image.fromarray(mask).save(tmp_path / "f.png")
    camera = camera_of(tmp_path, foreground_path=tmp_path / "f.png")
    truth = ImageStore([camera], "cpu").get(camera, torch.ones(3))
    assert truth.weight is None
    np.testing.assert_allclose(truth.foreground.numpy(), np.resize(expected, (1, HEIGHT, WIDTH)), atol=1e-6)


def test_foreground_of_one_bit_per_pixel_and_of_transparent_pictures(tmp_path):
    picture(tmp_path, channels=4)
    half = np.arange(WIDTH) < 6
    Image.fromarray(np.tile(half, (HEIGHT, 1))).save(tmp_path / "f.png")
    camera = camera_of(tmp_path, foreground_path=tmp_path / "f.png")
    truth = ImageStore([camera], "cpu").get(camera)
    np.testing.assert_array_equal(truth.foreground.numpy(), np.tile(half, (1, HEIGHT, 1)))
    assert truth.alpha is not None


def test_foreground_is_averaged_where_the_picture_is_shrunk(tmp_path):
    picture(tmp_path)
    Image.fromarray(np.tile(np.arange(WIDTH) < 5, (HEIGHT, 1))).save(tmp_path / "f.png")
    camera = camera_of(tmp_path, foreground_path=tmp_path / "f.png").resized(4, 4)  # pixels are 3 wide
    share = ImageStore([camera], "cpu").get(camera).foreground
    np.testing.assert_allclose(share[0, 0].numpy(), [1, 2 / 3, 0, 0], atol=0.01)


def test_foreground_is_straightened_with_the_picture(tmp_path):
    pixels = picture(tmp_path)[:, :, 0] | 2
    Image.fromarray(pixels).save(tmp_path / "f.png")
    camera = camera_of(tmp_path, distortion=(0.5, 0.0, 0.0, 0.0), foreground_path=tmp_path / "f.png")
    truth = ImageStore([camera], "cpu").get(camera)
    straight, valid = undistort(pixels[:, :, None], camera.info)
    np.testing.assert_array_equal((truth.foreground * 255).round().numpy()[0], straight[:, :, 0])
    np.testing.assert_array_equal(truth.weight.numpy()[0], valid)


def test_foreground_of_another_size_is_refused(tmp_path):
    picture(tmp_path)
    Image.fromarray(np.zeros((HEIGHT, 2 * WIDTH), np.uint8)).save(tmp_path / "f.png")
    camera = camera_of(tmp_path, foreground_path=tmp_path / "f.png")
    with pytest.raises(DatasetError, match="f.png: is 24x8; expected 12x8 as a.png"):
        ImageStore([camera], "cpu").get(camera)


def test_size_is_the_camera_s(tmp_path):
    picture(tmp_path)
    camera = camera_of(tmp_path, resolution=2)
    store = ImageStore([camera], "cpu")
    assert store.get(camera).image.shape == (3, HEIGHT // 2, WIDTH // 2)
    assert store.get(camera.resized(5, 3)).image.shape == (3, 3, 5)
    assert store.total_bytes == 3 * HEIGHT * WIDTH // 4


def test_pictures_are_decoded_once_and_only_when_needed(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        picture(tmp_path, name)
    cameras = [camera_of(tmp_path, "a.png"), camera_of(tmp_path, "b.png")]
    decoded = []
    original = image_store.decode
    monkeypatch.setattr(image_store, "decode", lambda one, _: decoded.append(one.image_name) or original(one))
    store = ImageStore(cameras, "cpu")
    assert decoded == []
    first = store.get(cameras[0]).image
    torch.testing.assert_close(store.get(cameras[0]).image, first, rtol=0, atol=0)
    assert decoded == ["a.png"]


def test_prefetch_decodes_in_another_thread(tmp_path, monkeypatch):
    picture(tmp_path)
    camera = camera_of(tmp_path)
    threads = []
    original = image_store.decode
    monkeypatch.setattr(
        image_store, "decode", lambda one, _: threads.append(threading.current_thread()) or original(one)
    )
    store = ImageStore([camera], "cpu")
    store.prefetch(camera)
    store.prefetch(camera)
    store.get(camera)
    store.prefetch(camera)
    store.close()
    assert len(threads) == 1 and threads[0] is not threading.main_thread()


def test_pictures_beyond_the_limit_are_forgotten_oldest_first(tmp_path, monkeypatch):
    names = ["a.png", "b.png", "c.png"]
    expected = [picture(tmp_path, name) for name in names]
    cameras = [camera_of(tmp_path, name) for name in names]
    monkeypatch.setattr(image_store, "ram_bytes", lambda: 2.5 * 3 * WIDTH * HEIGHT / image_store.RAM_SHARE)
    store = ImageStore(cameras, "cpu", prefetch=False)
    assert "decoded again" in store.describe()
    for _ in range(2):
        for camera, pixels in zip(cameras, expected, strict=True):
            image = store.get(camera).image
            np.testing.assert_array_equal((image * 255).round().numpy().transpose(1, 2, 0), pixels)
            assert store._stored_bytes <= store._limit_bytes
    assert len(store._stored) == 2


def test_truncated_picture_is_one_line_also_from_the_background(tmp_path):
    picture(tmp_path, size=(64, 64))
    path = tmp_path / "a.png"
    path.write_bytes(path.read_bytes()[:-2000])
    camera = camera_of(tmp_path, width=64, height=64)
    store = ImageStore([camera], "cpu")
    store.prefetch(camera)
    for _ in range(2):
        with pytest.raises(UserError, match=r"a.png") as caught:
            store.get(camera)
        assert "\n" not in str(caught.value)


def test_pictures_that_changed_or_never_were(tmp_path):
    picture(tmp_path)
    with pytest.raises(DatasetError, match="is 12x8, was 24x8 when listed"):
        image_store.decode(camera_of(tmp_path, width=24))
    made_up = Camera(0, "nowhere", torch.eye(4), 1.0, 1.0, 1.0, 1.0, 2, 2)
    with pytest.raises(DatasetError, match="nowhere has no photograph"):
        ImageStore([made_up], "cpu").get(made_up)


def test_memory_estimate_is_what_is_stored(tmp_path):
    picture(tmp_path, "a.png", channels=4)
    picture(tmp_path, "b.png")
    cameras = [camera_of(tmp_path, "a.png"), camera_of(tmp_path, "b.png", distortion=(0.1, 0.0, 0.0, 0.0))]
    store = ImageStore(cameras, "cpu")
    for camera in cameras:
        store.get(camera)
    assert store.total_bytes == store._stored_bytes == 2 * 4 * WIDTH * HEIGHT
    assert store.describe() == "images: 768 B as bytes on cpu"
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "f.png")
    camera = camera_of(tmp_path, "b.png", foreground_path=tmp_path / "f.png")
    store = ImageStore([camera], "cpu")
    store.get(camera)
    assert store.total_bytes == store._stored_bytes == 4 * WIDTH * HEIGHT


def test_data_device(capsys):
    assert image_store.choose_data_device("auto", torch.device("cpu"), 10).type == "cpu"
    if not torch.cuda.is_available():
        assert image_store.choose_data_device("cuda", torch.device("cpu"), 10).type == "cpu"
        assert "images stay on the cpu" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.parametrize("data_device", ["cpu", "cuda", "auto"])
def test_delivery_on_the_gpu(tmp_path, data_device):
    picture(tmp_path, channels=4)
    camera = camera_of(tmp_path)
    store = ImageStore([camera], "cuda", data_device)
    assert store.data_device.type == ("cpu" if data_device == "cpu" else "cuda")
    store.prefetch(camera)
    here = store.get(camera, torch.ones(3))
    there = ImageStore([camera], "cpu").get(camera, torch.ones(3))
    assert here.image.is_cuda
    torch.testing.assert_close(here.image.cpu(), there.image)


@pytest.mark.parametrize("fits", [True, False])
def test_all_pictures_are_decoded_ahead_if_all_can_be_kept(tmp_path, monkeypatch, fits):
    picture(tmp_path)
    monkeypatch.setattr(image_store, "ram_bytes", lambda: 1 << 30 if fits else 1)
    camera = camera_of(tmp_path)
    store = ImageStore([camera], "cpu")
    store.prefetch_all([camera])
    assert bool(store._pending) == fits
    store.close()


def depth_picture(folder, values: np.ndarray, name="d.png"):
    Image.fromarray(values).save(folder / name)
    return folder / name


def test_inverse_depths_are_scaled_after_negatives_are_gone(tmp_path):
    picture(tmp_path)
    values = np.full((HEIGHT, WIDTH), 16384, np.uint16)
    values[:, :6] = 0
    path = depth_picture(tmp_path, values)
    camera = camera_of(tmp_path, depth=DepthMap(path, 65536.0, scale=4.0, offset=-0.5))
    found = ImageStore([camera], "cpu").get(camera).inverse_depth
    assert found.shape == (1, HEIGHT, WIDTH)
    np.testing.assert_allclose(found[0, :, :6].numpy(), -0.5)
    np.testing.assert_allclose(found[0, :, 6:].numpy(), 0.5)


@pytest.mark.parametrize("kind", ["uint8", "rgb", "uint16"])
def test_every_kind_of_depth_picture_keeps_its_numbers(tmp_path, kind):
    picture(tmp_path)
    values = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    stored = values.astype(np.uint16 if kind == "uint16" else np.uint8)
    if kind == "rgb":
        stored = np.stack([stored, 0 * stored, 0 * stored], axis=2)
    camera = camera_of(tmp_path, depth=DepthMap(depth_picture(tmp_path, stored), 512.0))
    found = ImageStore([camera], "cpu").get(camera).inverse_depth
    np.testing.assert_allclose(found[0].numpy(), values / 512, rtol=1e-6)


def test_inverse_depth_is_resized_linearly_and_fades_with_the_picture(tmp_path):
    picture(tmp_path, channels=4)
    row = np.tile(np.arange(WIDTH, dtype=np.uint16) * 100, (HEIGHT, 1))
    camera = camera_of(tmp_path, depth=DepthMap(depth_picture(tmp_path, row), 1.0)).resized(6, 4)
    truth = ImageStore([camera], "cpu").get(camera)
    expected = np.tile((np.arange(6) * 2 + 0.5) * 100, (4, 1)) * truth.alpha[0].numpy()
    np.testing.assert_allclose(truth.inverse_depth[0].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(("half", "counted"), [("left", slice(0, 6)), ("right", slice(6, None))])
def test_only_half_a_picture_counts(tmp_path, half, counted):
    picture(tmp_path)
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[0] = 0
    Image.fromarray(mask).save(tmp_path / "m.png")
    expected = np.zeros((HEIGHT, WIDTH))
    expected[:, counted] = 1
    camera = camera_of(tmp_path, half=half)
    np.testing.assert_array_equal(ImageStore([camera], "cpu").get(camera).weight[0].numpy(), expected)
    expected[0] = 0
    camera = camera_of(tmp_path, half=half, mask_path=tmp_path / "m.png")
    np.testing.assert_array_equal(ImageStore([camera], "cpu").get(camera).weight[0].numpy(), expected)


def test_both_halves_of_one_picture_are_kept_apart(tmp_path):
    picture(tmp_path, size=(5, 4))
    left, right = (camera_of(tmp_path, half=half, width=5, height=4) for half in ("left", "right"))
    store = ImageStore([left, right], "cpu")
    weights = [store.get(camera).weight for camera in (left, right)]
    torch.testing.assert_close(weights[0] + weights[1], torch.ones(1, 4, 5))
    assert float(weights[0].sum()) == 8  # of five columns two
    assert right.measured(torch.zeros(3, 4, 5)).shape == (3, 4, 3)
    assert left.measured(torch.zeros(3, 4, 5)).shape == (3, 4, 5)


@pytest.mark.parametrize("on", [1, 200])
def test_a_matte_is_the_opacity_of_the_picture(tmp_path, on):
    pixels = picture(tmp_path)
    matte = np.zeros((HEIGHT, WIDTH), np.uint8)
    matte[:, 5:] = on
    Image.fromarray(matte).save(tmp_path / "m.png")
    camera = camera_of(tmp_path, matte_path=tmp_path / "m.png")
    truth = ImageStore([camera], "cpu").get(camera, torch.ones(3))
    share = 1.0 if on == 1 else on / 255
    assert truth.weight is None
    np.testing.assert_allclose(truth.alpha[0].numpy(), matte / max(on, 1) * share, atol=1e-6)
    expected = pixels[:, 5:] / 255 * share + 1 - share
    np.testing.assert_allclose(truth.image[:, :, 5:].numpy().transpose(1, 2, 0), expected, atol=1e-6)
    assert float(truth.image[:, :, :5].min()) == 1.0


def test_a_matte_comes_on_top_of_transparency(tmp_path):
    pixels = picture(tmp_path, channels=4)
    Image.fromarray(np.full((HEIGHT, WIDTH), 51, np.uint8)).save(tmp_path / "m.png")
    camera = camera_of(tmp_path, matte_path=tmp_path / "m.png")
    alpha = ImageStore([camera], "cpu").get(camera).alpha[0].numpy()
    np.testing.assert_allclose(alpha, pixels[:, :, 3] / 255 * 0.2, atol=0.5 / 255 + 1e-6)


def test_memory_estimate_counts_everything_that_is_stored(tmp_path):
    picture(tmp_path)
    path = depth_picture(tmp_path, np.zeros((HEIGHT, WIDTH), np.uint16))
    Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)).save(tmp_path / "m.png")
    extras = {"half": "left", "matte_path": tmp_path / "m.png", "depth": DepthMap(path, 1.0)}
    camera = camera_of(tmp_path, **extras)
    store = ImageStore([camera], "cpu")
    store.get(camera)
    assert store.total_bytes == store._stored_bytes == (4 + 1 + 4) * WIDTH * HEIGHT
