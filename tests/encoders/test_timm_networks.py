import sys

import pytest

from encoders.timm_networks import create_network


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="pip install timm"):
        create_network("vit_tiny_patch16_224")
