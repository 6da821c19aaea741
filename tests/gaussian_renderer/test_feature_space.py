from __future__ import annotations

import pytest
import torch

from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.feature_space import comparable_queries, comparable_rows


@pytest.mark.parametrize("decoded", [False, True])
def test_inner_products_and_lengths_are_those_of_decoded_features(decoded):
    generator = torch.Generator().manual_seed(0)
    features, queries = (
        torch.randn(20, 4, generator=generator),
        torch.randn(3, 9 if decoded else 4, generator=generator),
    )
    decoder = LinearDecoder(4, 9).requires_grad_(False) if decoded else None
    wide = features if decoder is None else decoder(features)
    rows, short = comparable_rows(features, decoder), comparable_queries(queries, decoder)
    assert rows.shape[1] == (5 if decoded else 4) == short.shape[1]
    torch.testing.assert_close(rows @ short.T, wide @ queries.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rows @ rows.T, wide @ wide.T, atol=1e-4, rtol=1e-4)


def test_a_decoder_of_fewer_directions_than_it_has_inputs():
    decoder = LinearDecoder(4, 2).requires_grad_(False)
    features, queries = torch.randn(6, 4), torch.randn(3, 2)
    found = comparable_rows(features, decoder) @ comparable_queries(queries, decoder).T
    torch.testing.assert_close(found, decoder(features) @ queries.T, atol=1e-3, rtol=1e-3)
