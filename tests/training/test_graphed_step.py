"""training/graphed_step.py"""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from arguments import ModelParams, MotionParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from gaussian_renderer import render
from scene.image_store import StoredImage, composite
from scene.layers import FrozenLayers
from scene.motion import MotionSetup, make_motion
from tests.blobs import blob_model, ring_cameras
from tests.layer_models import ball, frozen
from training.graphed_step import HEADROOM, InstanceRoom
from training.options import RunOptions
from training.trainer import Trainer
from utils.seeds import set_seed


def test_room_has_headroom_and_grows_with_the_gaussians():
    room = InstanceRoom()
    room.fit(seen=1000, num_gaussians=10)
    assert room.limit == int(HEADROOM * 1000)
    room.fit(seen=1000, num_gaussians=20)
    assert room.limit == int(HEADROOM * 2000)
    assert room.overflows(room.limit + 1) and not room.overflows(room.limit)


def test_room_shrinks_slowly():
    room = InstanceRoom()
    room.fit(seen=1000, num_gaussians=10)
    room.fit(seen=0, num_gaussians=10)
    assert 0.5 * HEADROOM * 1000 < room.limit < HEADROOM * 1000


class Bytes:
    """Renders of the model to be learnt, as pictures on the GPU, half of them transparent or masked."""

    def __init__(self, cameras, channels: int, has_weight: bool, has_depth: bool = False):
        model = blob_model(per_blob=10).to("cuda")
        self.kept = {}
        for camera in cameras:
            with torch.no_grad():
                output = render(camera, model)
            layers = torch.cat([output.color, output.alpha])[:channels]
            pixels = (layers.clamp(0, 1) * 255).to(torch.uint8)
            weight = torch.randint_like(pixels[:1], 0, 255) if has_weight else None
            depth = output.inverse_depth.clone() if has_depth else None
            self.kept[camera.uid] = StoredImage(pixels, weight, inverse_depth=depth)

    def stored(self, camera) -> StoredImage:
        return self.kept[camera.uid]

    def get(self, camera, background=None):
        return composite(self.stored(camera), background)

    def prefetch(self, camera) -> None:
        pass


MOVING = MotionParams(warm_up=10, stop_MLP=50, grow_steps=20, time_noise_steps=40)


@pytest.mark.gpu
class TestOnGpu:
    def trainer(
        self,
        folder,
        cuda_graph: bool,
        channels: int = 3,
        sizes: int = 1,
        has_weight: bool = False,
        motion: MotionParams | None = None,
        over_layer: bool = False,
        alpha_train: bool = False,
        exposure: bool = False,
        has_depth: bool = False,
        **options,
    ):
        set_seed(0)
        cameras = [
            replace(camera, uid=10 * k + camera.uid)
            for k in range(sizes)
            for camera in (replace(c, time=c.uid / 2) for c in ring_cameras(3, 80 + 16 * k, 64))
        ]
        images = Bytes(cameras, channels, has_weight, has_depth)
        scene = SimpleNamespace(train=tuple(cameras), test=(), extent=4.0, images=images)
        model = blob_model(per_blob=10).with_features(None).to("cuda")
        with torch.no_grad():
            model.params["f_dc"].mul_(0.5)
        motion = motion or MotionParams(motion="static")
        model = model.with_motion(make_motion(motion.motion, MotionSetup(motion, device="cuda")))
        if over_layer:
            model = model.subset(torch.arange(20)).with_layers(FrozenLayers((frozen("last", ball(2, 2)),)).to("cuda"))
        run = RunOptions(
            ModelParams(source_path="memory", model_path=str(folder), alpha_train=alpha_train, exposure=exposure),
            PipelineParams(),
            OptimizationParams(**{"iterations": 60, "densify_from_iter": 0, "densification_interval": 25} | options),
            SemanticParams(),
            motion,
            TrainParams(test_iterations=(), save_iterations=(), quiet=True, cuda_graph=cuda_graph),
        )
        return Trainer(run, scene, model)

    @pytest.mark.parametrize(
        "case",
        [
            {},
            {"over_layer": True, "inactive_purge_threshold": 1e-4},
            {"over_layer": True, "channels": 4, "alpha_train": True, "random_background": True},
            {"channels": 4, "lambda_alpha": 0.1, "random_background": True},
            {"has_weight": True, "optimizer_type": "sparse_adam", "prune_screen_size": True, "absgrad": True},
            {"sizes": 6},
            {"densification_interval": 1},
            {"motion": replace(MOVING, motion="deform_mlp")},
            {"motion": replace(MOVING, motion="deform_mlp", is_blender=True, is_6dof=True, lambda_offset=0.01)},
            {"motion": replace(MOVING, motion="deform_mlp", compat_speed=True)},
            {"motion": replace(MOVING, motion="motion_bases", num_bases=8)},
            {"exposure": True},
            {"exposure": True, "channels": 4, "random_background": True},
            {"has_depth": True, "depth_loss": "robust", "opacity_reg": 0.01, "scale_reg": 0.01},
            {"densification": "mcmc", "max_gaussians": 40, "exposure": True, "has_depth": True},
            {"densification": "mcmc", "max_gaussians": 40, "motion": replace(MOVING, motion="motion_bases")},
        ],
    )
    def test_graphs_give_the_same_training(self, tmp_path, case):
        losses = []
        for cuda_graph in (False, True):
            trainer = self.trainer(tmp_path, cuda_graph, **case)
            trainer.run()
            losses.append(trainer._watch.smoothed)
            assert (trainer._graphs is not None) == cuda_graph
            if cuda_graph and "densification_interval" not in case:
                assert trainer._graphs._graphs  # it was used
        assert losses[1] == pytest.approx(losses[0], rel=0.02)

    def test_too_little_room_is_noticed(self, tmp_path, capsys):
        trainer = self.trainer(tmp_path, True, iterations=100, densify_from_iter=1000)
        trainer._graphs._measure = lambda camera: 1
        trainer.run()
        assert "more room from now on" in capsys.readouterr().err
        assert trainer._graphs._room.limit > 10

    def test_a_layer_is_bit_identical_after_graphed_training(self, tmp_path):
        trainer = self.trainer(tmp_path, True, over_layer=True, densification_interval=20)
        before = {name: value.clone() for name, value in trainer.model.layers.layers[0].tensors.items()}
        drawn = trainer.model.layers.drawn.means.clone()
        trainer.run()
        assert trainer._graphs is not None and torch.equal(trainer.model.layers.drawn.means, drawn)
        now = trainer.model.layers.layers[0].tensors
        assert all(torch.equal(value, now[name]) for name, value in before.items())

    def test_every_picture_has_its_own_exposure_in_a_graph(self, tmp_path):
        """Each moves, and by another amount, which a row that was captured as a constant would not do."""
        trainer = self.trainer(tmp_path, True, exposure=True, iterations=90, densify_from_iter=1000)
        trainer.run()
        assert trainer._graphs._graphs
        moved = (trainer.exposure.matrices.detach() - trainer.exposure._identity).flatten(1)
        assert bool((moved.norm(dim=1) > 0).all())
        assert float(moved.std(0).max()) > 1e-4

    def test_replayed_iterations_explore_differently(self, tmp_path):
        options = {"densification": "mcmc", "max_gaussians": 30, "iterations": 80}
        trainer = self.trainer(tmp_path, True, **options)
        with torch.no_grad():
            trainer.model.params["opacity"][0] = -7.0
        places = []
        update = trainer.density.update

        def watched(model, optimizer, iteration):
            before = model.means.detach().clone()
            update(model, optimizer, iteration)
            if model.means.shape == before.shape:
                places.append(model.means.detach() - before)

        trainer.density.update = watched
        trainer.run()
        moves = [place for place in places if place.any()]  # until what is dead moves elsewhere
        assert trainer._graphs._graphs and len(moves) > 10
        assert not any(torch.equal(one, other) for one, other in pairwise(moves))
