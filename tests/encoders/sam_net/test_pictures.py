import numpy as np

from encoders.sam_net.pictures import SHARE, mark_prompt, overlay


def test_masks_are_tinted_and_outlined():
    image, mask = np.full((9, 9, 3), 100, np.uint8), np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    drawn = overlay(image, [mask], np.array([[1.0, 0.0, 0.0]]))
    assert drawn[4, 4].tolist() == [round(100 + SHARE * 155), 100 - SHARE * 100, 100 - SHARE * 100]
    assert (drawn[2, 4] == 255).all() and (drawn[0, 0] == 100).all()
    assert (image == 100).all()


def test_no_mask_leaves_the_picture():
    image = np.random.default_rng(0).integers(0, 255, (5, 6, 3), np.uint8)
    assert (overlay(image, [], np.zeros((0, 3))) == image).all()


def test_prompts_are_drawn_where_they_are():
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = mark_prompt(image, [(10, 20)], [(50, 5)], (30, 25, 55, 35))
    assert drawn[20, 10, 1] > 150 and drawn[5, 50, 0] > 150 and drawn[25, 40, 0] > 150
    assert not drawn[30, 40].any() and not image.any()
