import numpy as np
import pytest
import torch

from encoders.dinov2_net.models import DINOV2, DINOV3, find_model
from encoders.dinov2_net.network import (
    NativePatchMaps,
    PatchMaps,
    build_network,
    load_network,
    native_positions,
    timm_layout,
)
from encoders.timm_networks import create_network, import_timm
from encoders.weights import load_strictly
from tests.encoders.key_manifest import published_shapes

TINY = {"embed_dim": 12, "depth": 2, "num_heads": 2, "img_size": 70, "num_classes": 0}


@pytest.fixture(scope="module")
def tiny() -> torch.nn.Module:
    """DINOv2 with 5 x 5 positions that differ visibly."""
    torch.manual_seed(0)
    network = create_network("vit_small_patch14_dinov2", **TINY, dynamic_img_size=True).eval()
    with torch.no_grad():
        network.pos_embed.normal_()
    return network.requires_grad_(False)


def cubic_weights(side: int, count: int) -> np.ndarray:
    """[count, side] weights of cubic convolution (a = -0.75) at DINOv2's places, borders repeated."""
    weights = np.zeros((count, side))
    for index in range(count):
        place = (index + 0.5) * side / (count + 0.1) - 0.5
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            x, a = abs(place - tap), -0.75
            near = (a + 2) * x**3 - (a + 3) * x**2 + 1
            far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
            weights[index, min(max(tap, 0), side - 1)] += near if x <= 1 else far
    return weights


@pytest.mark.parametrize("grid", [(5, 8), (3, 4), (12, 5)])
def test_positions_are_resized_by_the_odd_factors_of_dinov2(grid):
    table = torch.randn(1, 1 + 25, 7, generator=torch.Generator().manual_seed(0))
    resized = native_positions(table, grid)
    square = table[0, 1:].reshape(5, 5, 7).double().numpy()
    expected = np.einsum("ia,jb,abc->ijc", cubic_weights(5, grid[0]), cubic_weights(5, grid[1]), square)
    np.testing.assert_allclose(resized[0, 1:].reshape(*grid, 7), expected, atol=1e-5)
    assert torch.equal(resized[:, :1], table[:, :1])


def test_positions_of_the_training_size_are_kept():
    table = torch.randn(1, 1 + 37 * 37, 3)
    assert native_positions(table, (37, 37)) is table
    for height, width in ((38, 68), (26, 35), (137, 77)):
        assert native_positions(table, (height, width)).shape == (1, 1 + height * width, 3)


def test_native_maps_are_timms_own_with_another_table(tiny):
    images = torch.randn(2, 3, 70, 112, generator=torch.Generator().manual_seed(1))
    ours = NativePatchMaps(tiny)(images)
    fixed = create_network("vit_small_patch14_dinov2", **TINY).eval()
    fixed.load_state_dict(tiny.state_dict())
    fixed.set_input_size(img_size=(70, 112))
    with torch.no_grad():
        fixed.pos_embed.copy_(native_positions(tiny.pos_embed, (5, 8)))
        tokens = fixed.forward_features(images)[:, 1:]
    torch.testing.assert_close(ours, tokens.transpose(1, 2).unflatten(2, (5, 8)), atol=1e-6, rtol=0)
    assert (ours - PatchMaps(tiny)(images)).abs().max() > 0.01


def test_native_and_timm_agree_at_the_training_size(tiny):
    images = torch.randn(1, 3, 70, 70)
    torch.testing.assert_close(NativePatchMaps(tiny)(images), PatchMaps(tiny)(images), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["vits14", "vits14_reg4", "vitb14", "vitl14", "vitg14"])
def test_published_weights_fit(name):
    published = {key: torch.empty(shape, device="meta") for key, shape in published_shapes(f"dinov2_{name}").items()}
    with torch.device("meta"):
        network = build_network(DINOV2[name], native=True).network
    layout = timm_layout(published, network)
    assert {key: value.shape for key, value in layout.items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }


def test_a_file_in_the_authors_layout_is_read(tmp_path, tiny):
    state = tiny.state_dict() | {"mask_token": torch.zeros(1, 12)}
    other = create_network("vit_small_patch14_dinov2", **TINY)
    load_strictly(other, timm_layout(state, other), tmp_path)
    assert torch.equal(other.pos_embed, tiny.pos_embed)
    path = tmp_path / "small.pth"
    torch.save(state, path)
    with pytest.raises(ValueError, match="small.pth does not fit the network"):
        load_network(DINOV2["vits14"], native=True, path=path)


@pytest.mark.parametrize("model", [*DINOV2.values(), *DINOV3.values()], ids=lambda model: model.timm_name)
def test_the_catalogue_agrees_with_timm(model):
    published = import_timm().get_pretrained_cfg(model.timm_name)
    assert (published.license, published.mean, published.std) == (model.licence, model.mean, model.std)
    assert model.weights[1].hub[0] == published.hf_hub_id
    assert model.weights[0].url == (published.url or "")
    with torch.device("meta"):
        maps = build_network(model, model.native_positions)
    assert isinstance(maps, NativePatchMaps) == model.timm_name.endswith("patch14_dinov2")
    network = maps.network
    assert network.num_features == model.dim and network.patch_embed.patch_size == (model.patch, model.patch)


def test_any_network_of_timm_makes_maps():
    for name, shape in (("convnext_atto", (320, 2, 3)), ("vit_tiny_patch16_224", (192, 4, 6))):
        model = find_model(f"timm:{name}", {})
        with torch.device("meta"):
            maps = build_network(model, native=False).eval()(torch.zeros(1, 3, 64, 96))
        assert maps.shape[1:] == shape and model.dim == shape[0] and model.patch == 64 // shape[1]


def test_unknown_names_are_one_line():
    with pytest.raises(ValueError, match="expected vits14, .* or timm:NAME"):
        find_model("vitx14", DINOV2)
    with pytest.raises(ValueError, match="timm has no network 'vit_of_mine'"):
        find_model("timm:vit_of_mine", DINOV2)


def test_only_free_licences_pass_quietly(capsys):
    DINOV2["vits14"].say_licence()
    assert "warning" not in capsys.readouterr().err
    DINOV3["vits16"].say_licence()
    assert "dinov3-license" in capsys.readouterr().err
