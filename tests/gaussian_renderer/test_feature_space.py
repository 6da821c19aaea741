"""Comparisons at the latent's cost equal those of the decoded features."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.feature_space import comparable_rows, inner_products, word_cosines


@pytest.mark.parametrize("teacher", [None, 20, 3])
def test_they_are_those_of_the_decoded_features(teacher):
    torch.manual_seed(0)
    features, decoder = torch.randn(30, 6), None if teacher is None else LinearDecoder(6, teacher).requires_grad_(False)
    queries = torch.randn(4, teacher or 6)
    decoded = features if decoder is None else decoder(features)
    rows = comparable_rows(features, decoder)
    torch.testing.assert_close(rows @ rows.T, decoded @ decoded.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(inner_products(features, decoder, queries), decoded @ queries.T, atol=1e-4, rtol=1e-4)
    expected = F.cosine_similarity(decoded[:, None], queries[None], dim=2)
    torch.testing.assert_close(word_cosines(features, decoder, queries), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("decoder", [None, LinearDecoder(6, 6)])
def test_a_gaussian_without_features_is_like_nothing(decoder):
    assert not word_cosines(torch.zeros(2, 6), decoder, torch.eye(6)).any()
