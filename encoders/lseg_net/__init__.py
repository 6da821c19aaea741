"""The network of LSeg (Li et al., Language-driven Semantic Segmentation, ICLR 2022) and how it looks at pictures."""
