import numpy as np
import pytest
import torch

from encoders.sam_net.onnx_export import export_onnx


def test_missing_packages_are_one_line(monkeypatch, tmp_path, decoder):
    monkeypatch.setattr("encoders.sam_net.onnx_export.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install onnx"):
        export_onnx(decoder, tmp_path / "decoder.onnx")
    assert not (tmp_path / "decoder.onnx").exists()


@pytest.mark.slow
def test_the_exported_decoder_gives_the_same_answers(tmp_path, decoder, embedding):
    pytest.importorskip("onnxscript", reason="pip install onnx onnxscript onnxruntime")
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnx onnxscript onnxruntime")
    export_onnx(decoder, tmp_path / "decoder.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "decoder.onnx")
    for points in (2, 5):
        coords = torch.linspace(0, 1000, 2 * points).reshape(1, points, 2)
        labels = torch.tensor([[1, 0, 2, 3, -1]])[:, -points:].float()
        given = {"image_embeddings": embedding[None], "point_coords": coords, "point_labels": labels}
        masks, ious = session.run(None, {name: value.numpy() for name, value in given.items()})
        with torch.no_grad():
            logits, scores = decoder(embedding, (coords + 0.5) / 1024, labels)
        np.testing.assert_allclose(masks, logits[:, :1], atol=1e-5)
        np.testing.assert_allclose(ious, scores[:, :1], atol=1e-5)
