import numpy as np
import pytest

from examples.rig_videos import write_videos

av = pytest.importorskip("av")


def test_one_video_per_camera_with_the_same_moments(tmp_path):
    smooth = np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None] + np.zeros((48, 1, 3), np.uint8)
    grid = [[np.roll(smooth, 8 * step + 20 * camera, axis=1) for camera in range(2)] for step in range(3)]
    write_videos(tmp_path / "videos", grid)
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == ["cam_00.mp4", "cam_01.mp4"]
    for camera in range(2):
        with av.open(str(tmp_path / f"videos/cam_{camera:02d}.mp4")) as file:
            assert file.streams.video[0].average_rate == 30
            frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]
        assert len(frames) == 3
        for step, frame in enumerate(frames):
            assert np.abs(frame - grid[step][camera]).mean() < 4
