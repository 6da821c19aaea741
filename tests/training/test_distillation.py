"""training/distillation.py: the plan, and what all teachers share."""

from dataclasses import replace

import pytest

from arguments import SemanticParams
from tests.blobs import ring_cameras
from training.distillation import DistillPlan, image_sizes


def plan(**options) -> DistillPlan:
    return DistillPlan.from_options(SemanticParams(**options), 1000)


@pytest.mark.parametrize(
    ("options", "trains", "lifts", "lifts_when_saved"),
    [
        ({"distill": "sgd"}, range(0, 1001), [], []),
        ({"distill": "sgd", "semantic_start": 7}, range(7, 1001), [], []),
        ({"distill": "lift"}, [], [], range(1001)),
        ({"distill": "lift+sgd"}, range(501, 1001), [500], range(501)),
        ({"distill": "lift+sgd", "lift_iteration": 300}, range(301, 1001), [300], range(301)),
        ({"distill": "lift+sgd", "lift_iteration": 1200}, [], [], range(1001)),
        ({"distill": "lift+sgd", "semantic_start": 950}, range(950, 1001), [500], range(501)),
    ],
)
def test_when_features_are_lifted_and_trained(options, trains, lifts, lifts_when_saved):
    given, steps = plan(**options), range(1001)
    assert [i for i in steps if given.trains_at(i)] == list(trains)
    assert [i for i in steps if given.lifts_at(i, is_saved=False)] == list(lifts)
    assert [i for i in steps if given.lifts_at(i, is_saved=True)] == list(lifts_when_saved)


def test_the_lift_comes_halfway_but_never_before_the_first_step():
    given = SemanticParams(distill="lift+sgd")
    assert [DistillPlan.from_options(given, n).lift_at for n in (1, 2, 9, 30_000)] == [1, 1, 5, 15_000]


@pytest.mark.parametrize(("mode", "trains"), [("sgd", True), ("lift+sgd", True), ("lift", False)])
def test_finished_gaussians_need_not_wait(mode, trains):
    given = DistillPlan.at_once(SemanticParams(distill=mode, semantic_start=25_000, lift_iteration=700))
    assert all(given.trains_at(i) == trains for i in range(1, 50))
    assert given.lifts_at(0, is_saved=False) == (mode == "lift+sgd")
    assert not any(given.lifts_at(i, is_saved=False) for i in range(1, 1000))


class Sizes:
    """A distiller that only knows how large maps are; counts how often it is asked."""

    def __init__(self, sizes: dict[str, tuple[int, int]]):
        self.sizes, self.asked = sizes, 0

    def has_map(self, camera) -> bool:
        return camera.image_name in self.sizes

    def map_size(self, camera) -> tuple[int, int]:
        self.asked += 1
        return self.sizes[camera.image_name]


def test_equal_photos_have_maps_of_equal_size():
    wide, tall = ring_cameras(3, 40, 30), [replace(c, image_name=f"t{c.image_name}") for c in ring_cameras(2, 30, 40)]
    sizes = Sizes({"001.png": (6, 8), "t000.png": (8, 6)})
    found = image_sizes(sizes, [*wide, *tall])
    assert found == {"000.png": (8, 6), "001.png": (8, 6), "002.png": (8, 6), "t000.png": (6, 8), "t001.png": (6, 8)}
    assert sizes.asked == 2


def test_a_size_that_no_map_has_is_named():
    with pytest.raises(ValueError, match=r"-r 0: no image of 40x30 px .*000\.png"):
        image_sizes(Sizes({}), ring_cameras(2, 40, 30))
