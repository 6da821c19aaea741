"""Scenes made of other scenes: layers of Gaussians with their own clocks and places, baked into one tracked model."""
