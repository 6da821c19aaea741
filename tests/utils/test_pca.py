import pytest
import torch

from utils.errors import UserError
from utils.pca import MAX_SAMPLES, Pca, fit_pca, leading_vectors


def features(count: int = 500, dim: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([5.0, 3.0, 1.0] + [0.01] * (dim - 3))
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=generator))[0]
    return torch.randn(count, dim, generator=generator) * spread @ turn.T + 7.0


def test_components_are_orthonormal_ordered_and_rebuild_the_data():
    x = features()
    pca = fit_pca(x, k=3)
    torch.testing.assert_close(pca.basis.T @ pca.basis, torch.eye(3), atol=1e-5, rtol=0)
    spread = pca.project(x).std(dim=0)
    assert spread[0] > spread[1] > spread[2] > 0.5
    assert (pca.project(x) @ pca.basis.T + pca.mean - x).abs().max() < 0.1


def test_colours_are_in_range_and_use_it():
    x = features()
    colors = fit_pca(x).apply(x.reshape(5, 100, 8))
    assert colors.shape == (5, 100, 3) and colors.min() == 0.0 and colors.max() == 1.0
    assert (colors.reshape(-1, 3).std(dim=0) > 0.1).all()


def test_leading_vectors_are_the_eigenvectors_in_order():
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).double())[0]
    vectors = leading_vectors(turn @ torch.diag(torch.tensor([1.0, 9.0, 4.0, 0.5]).double()) @ turn.T, 6)
    assert vectors.shape == (4, 6) and not vectors[:, 4:].any()
    torch.testing.assert_close((turn.T @ vectors[:, :3]).abs(), torch.eye(4)[:, [1, 2, 0]].double())
    assert (vectors[:, :4].gather(0, vectors[:, :4].abs().argmax(0, keepdim=True)) > 0).all()


def test_order_of_samples_does_not_change_colours():
    x = features()
    torch.testing.assert_close(fit_pca(x).apply(x), fit_pca(x.flip(0)).apply(x), atol=1e-4, rtol=0)


def test_narrow_features_are_padded_with_zeros():
    x = torch.randn(50, 2)
    colors = fit_pca(x, k=3).apply(x)
    assert colors.shape == (50, 3) and (colors[:, 2] == 0).all()


def test_constant_features_and_rows_of_nan():
    x = torch.ones(10, 4)
    assert torch.isfinite(fit_pca(x).apply(x)).all()
    x[0, 0] = torch.nan
    assert torch.isfinite(fit_pca(x).mean).all()
    with pytest.raises(UserError, match="no finite"):
        fit_pca(torch.full((3, 4), torch.nan))


def test_many_samples_are_thinned_the_same_way():
    x = torch.rand(MAX_SAMPLES + 10, 2)
    assert torch.equal(fit_pca(x, 1, seed=1).basis, fit_pca(x, 1, seed=1).basis)


def test_file_round_trip_and_damage(tmp_path):
    pca, path = fit_pca(features()), tmp_path / "pca.safetensors"
    pca.save(path)
    for name in ("mean", "basis", "low", "high"):
        assert torch.equal(getattr(Pca.load(path), name), getattr(pca, name))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="not a saved PCA"):
        Pca.load(path)


def test_other_width_is_an_error():
    with pytest.raises(ValueError, match="width 5; this basis expects 8"):
        fit_pca(features()).apply(torch.zeros(2, 5))
