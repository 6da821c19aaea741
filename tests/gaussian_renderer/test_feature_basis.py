"""One basis for student and teacher: a feature has one colour, wherever it comes from."""

import pytest
import torch
import torch.nn.functional as F

from gaussian_renderer.feature_basis import FeatureColors, scene_basis
from gaussian_renderer.feature_decoder import LinearDecoder
from tests.blobs import REFERENCE, blob_model, ring_cameras
from utils.pca import fit_pca


def random_decoder(latent=4, teacher=11, seed=3):
    torch.manual_seed(seed)
    return LinearDecoder(latent, teacher).requires_grad_(False)


@pytest.mark.parametrize("teacher", [11, 4, 3])
def test_decoded_features_have_the_colours_that_the_decoder_would_give_them(teacher):
    decoder, latent = random_decoder(teacher=teacher), torch.randn(4, 6, 7)
    decoded = decoder(latent)
    basis = fit_pca(F.normalize(decoded.flatten(1).T, dim=1))
    expected = basis.apply(F.normalize(decoded, dim=0).movedim(0, -1)).movedim(-1, 0)
    torch.testing.assert_close(FeatureColors(basis, decoder).of(latent), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(FeatureColors(basis).of(decoded), expected, atol=1e-5, rtol=0)


def test_length_does_not_matter_and_zero_is_black():
    basis = fit_pca(F.normalize(torch.randn(50, 5), dim=1))
    colors = FeatureColors(basis)
    features = torch.randn(5, 2, 3)
    torch.testing.assert_close(colors.of(features * 7), colors.of(features))
    assert not colors.of(torch.zeros(5, 2, 3)).any()


def test_the_basis_lives_in_the_teachers_space(tmp_path):
    model, cameras, decoder = blob_model(), ring_cameras(2), random_decoder()
    path = tmp_path / "pca.safetensors"
    assert scene_basis(path, cameras, model, REFERENCE, decoder).mean.shape == (11,)
    assert scene_basis(path, cameras, model, REFERENCE).mean.shape == (4,), "another width is fitted again"
