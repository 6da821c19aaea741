"""Procedural scenes with exact ground truth, written in the standard data set formats."""
