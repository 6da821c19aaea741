import torch

from utils.relevance import relevance


def test_relevance_is_the_least_pairwise_softmax():
    similarity = torch.tensor([[0.3, 0.1, 0.2, 0.25]])
    found = relevance(similarity, 2, 0.1)
    pairs = torch.stack([torch.softmax(torch.tensor([p, n]) / 0.1, 0)[0] for p in (0.3, 0.1) for n in (0.2, 0.25)])
    torch.testing.assert_close(found[0], pairs.reshape(2, 2).amin(1))
    assert torch.equal(relevance(similarity, 4, 0.1), similarity)
