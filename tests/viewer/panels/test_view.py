from tests.blobs import blob_model
from tests.viewer.scenes import blob_source
from viewer.panels.view import modes_of


def test_a_model_has_the_pictures_that_it_can_have(tmp_path):
    assert modes_of(blob_source(tmp_path)) == ["color", "depth", "alpha", "features", "similarity"]
    assert modes_of(blob_source(tmp_path, blob_model().with_features(None))) == ["color", "depth", "alpha"]
    labels = blob_source(tmp_path, blob_model(feature_dim=3), classes=("a", "b", "c"))
    assert modes_of(labels) == ["color", "depth", "alpha", "labels", "similarity"]
