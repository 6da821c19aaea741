"""OpenAI's CLIP models (Radford et al., ICML 2021): which there are, and their towers, from the open_clip package."""
