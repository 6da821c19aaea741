"""Parts of the scene-spectral teacher: per-picture descriptors and the graph over all pictures."""
