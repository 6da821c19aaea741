"""DINOv2, DINOv3 and other vision transformers of timm as makers of dense maps."""
