"""segment.py beyond clicks, on the three balls: boxes, words, label sets, SAM's prompts, everything, actions."""

import numpy as np
import pytest
import torch

import segment as script
from encoders.oracle import word_vector
from gaussian_renderer.click_file import write_clicks
from gaussian_renderer.mask_lifting import ViewPrompt
from scene.formats import read_splats
from tests.blobs import blob_labels, blob_model, ring_cameras, write_blob_run
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.image_io import read_image
from utils.metrics import iou

QUICK = ["--backend", "reference", "--device", "cpu", "--skip_video"]
NAMES = ("red", "green", "blue")
WIDTH = 16
BALLS = blob_labels().numpy()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Balls whose features are the words of their colours."""
    words = torch.stack([torch.as_tensor(word_vector(name, WIDTH, 0)) for name in NAMES]).float()
    model = blob_model()
    noise = 0.03 * torch.randn(len(BALLS), WIDTH, generator=torch.Generator().manual_seed(2))
    return write_blob_run(tmp_path_factory.mktemp("words"), model.with_features(words[BALLS] + noise))


@pytest.fixture(scope="module")
def label_run(tmp_path_factory):
    """Balls with logits of three classes."""
    model = blob_model()
    logits = 4 * torch.nn.functional.one_hot(torch.from_numpy(BALLS), 3).float()
    folder = write_blob_run(tmp_path_factory.mktemp("labels"), model.with_features(logits))
    write_json(folder / "label_classes.json", NAMES)
    return folder


def segment(run, *words):
    script.main(["-m", str(run), *map(str, words), "-f", "oracle_words", *QUICK])


def result(run, name):
    folder = run / "segment" / name
    with np.load(folder / "selection.npz") as arrays:
        return folder, dict(arrays)


def true_view(run, key):
    return read_image(run.parent / "data" / "labels" / f"{key}.png")[..., 0]


def box_of(run, ball, margin=1, key="train__001"):
    rows, columns = np.nonzero(true_view(run, key) == ball + 1)
    return [columns.min() - margin, rows.min() - margin, columns.max() + 1 + margin, rows.max() + 1 + margin]


def mean_iou(run, folder, kind, number, true_number):
    keys = [view["key"] for view in read_json(folder / "selection.json")["views"]]
    pairs = [(read_image(folder / kind / f"{key}.png")[..., 0], true_view(run, key)) for key in keys]
    return np.mean([iou(picture == number, truth == true_number) for picture, truth in pairs])


@pytest.mark.parametrize("ball", [0, 2])
def test_a_box_selects_the_ball_that_it_was_drawn_around(run, ball):
    segment(run, "--box", *box_of(run, ball), "--name", f"box{ball}")
    folder, arrays = result(run, f"box{ball}")
    assert (arrays["mask"] == (ball == BALLS)).mean() > 0.97
    assert mean_iou(run, folder, "masks", 255, ball + 1) > 0.9


def test_a_point_chooses_within_a_box_around_everything(run):
    rows, columns = np.nonzero(true_view(run, "train__001") == 2)
    point = (int(np.median(columns)), int(np.median(rows)))
    segment(run, "--box", 0, 0, 48, 40, "--point", *point, "--name", "both")
    assert (result(run, "both")[1]["mask"] == (BALLS == 1)).mean() > 0.97


def test_clicks_from_anywhere_come_in_a_file(run):
    """In a training view they do what --point does; in others too, and those of several views add up."""
    cameras = ring_cameras(8)
    pixels = {}
    for number in (0, 2):
        rows, columns = np.nonzero(true_view(run, "train__001") == number + 1)
        pixels[number] = (int(np.median(columns)), int(np.median(rows)))
    write_clicks(run / "clicks.json", [(cameras[1], ViewPrompt((pixels[0],), (pixels[2],)))])
    segment(run, "--clicks", run / "clicks.json", "--name", "clicks")
    points = [*pixels[0], "--negative", *pixels[2]]
    segment(run, "--view_name", "train/001.png", "--point", *points, "--name", "points")
    assert np.array_equal(result(run, "clicks")[1]["mask"], result(run, "points")[1]["mask"])
    write_clicks(run / "clicks.json", [(cameras[1], ViewPrompt((pixels[number],))) for number in (0, 2)])
    segment(run, "--clicks", run / "clicks.json", "--no_connected", "--name", "several")
    assert (result(run, "several")[1]["mask"] == (BALLS != 1)).mean() > 0.97
    with pytest.raises(ValueError, match="--clicks"):
        segment(run, "--clicks", run / "clicks.json", "--text", "red")


def test_a_word_selects_what_it_names(run):
    segment(run, "--text", "green", "--name", "word")
    folder, arrays = result(run, "word")
    assert (arrays["mask"] == (BALLS == 1)).mean() > 0.97 and arrays["similarity"].shape == BALLS.shape
    assert mean_iou(run, folder, "masks", 255, 2) > 0.9
    record = read_json(folder / "selection.json")
    assert record["text"] == ["green"] and record["click_view"] is None


def test_an_opposing_word_leaves_what_is_nearer_to_it(run):
    segment(run, "--text", "green", "--negative", "blue", "--negative", "coffee table", "--name", "opposed")
    arrays = result(run, "opposed")[1]
    assert (arrays["mask"] == (BALLS == 1)).mean() > 0.97


def test_several_words_become_labels_that_exclude_one_another(run):
    segment(run, "--text", "blue", "--text", "red", "--name", "words")
    folder, arrays = result(run, "words")
    assert (arrays["labels"] == np.array([2, 0, 1])[BALLS]).mean() > 0.97
    assert arrays["score"].shape == (len(BALLS), 2)
    assert mean_iou(run, folder, "labels", 1, 3) > 0.9 and mean_iou(run, folder, "labels", 2, 1) > 0.9
    assert read_json(folder / "labels" / "classes.json") == {"0": "nothing", "1": "blue", "2": "red"}
    union = read_image(folder / "masks" / "test__000.png")[..., 0] > 127
    assert ((read_image(folder / "labels" / "test__000.png")[..., 0] > 0) == union).all()
    assert read_image(folder / "legend.png").ndim == 3 and (folder / "label_colors" / "test__000.png").is_file()


def test_a_label_set_names_every_pixel(run):
    segment(run, "--label_src", "sky,red,green,blue", "--name", "set")
    folder, arrays = result(run, "set")
    assert (arrays["labels"] == BALLS + 2).mean() > 0.99
    for ball in range(3):
        assert mean_iou(run, folder, "labels", ball + 2, ball + 1) > 0.9
    colored = read_splats(folder / "labels.ply").named()
    assert len({tuple(np.round(row, 3)) for row in colored["f_dc"].reshape(-1, 3)}) == 3
    assert not colored["f_rest"].any() and "semantic_feature" not in colored


def test_everything_finds_the_balls(run):
    segment(run, "--everything", "--name", "all")
    folder, arrays = result(run, "all")
    table = np.array([[np.sum((ball == BALLS) & (arrays["labels"] == n)) for n in range(1, 4)] for ball in range(3)])
    assert arrays["labels"].max() == 3 and (table.max(1) >= 0.97 * 40).all(), table
    number = int(table[0].argmax()) + 1
    assert mean_iou(run, folder, "clusters", number, 1) > 0.9
    assert (folder / "clusters.ply").is_file() and (folder / "overlay" / "test__000.png").is_file()


def test_a_class_of_a_label_model_is_selected_by_its_name(label_run):
    segment(label_run, "--text", "Blue", "--name", "class")
    assert ((result(label_run, "class")[1]["mask"]) == (BALLS == 2)).mean() > 0.97
    segment(label_run, "--label_src", "--name", "classes")
    folder, arrays = result(label_run, "classes")
    assert (arrays["labels"] == BALLS + 1).all() and mean_iou(label_run, folder, "labels", 1, 1) > 0.9
    with pytest.raises(UserError, match="there are red, green, blue"):
        segment(label_run, "--text", "purple")


@pytest.mark.parametrize("prompt", ["point", "box"])
def test_sam_masks_of_all_views_are_lifted(run, monkeypatch, prompt):
    """A stand-in for SAM's decoder answers with the true ball under the points or most of the box."""
    asked_views = []

    def decode(camera, surface, asked: ViewPrompt):
        truth = true_view(run, camera.image_name.replace("/", "__").removesuffix(".png"))
        x1, y1, x2, y2 = asked.box or (0, 0, 0, 0)
        meant = [truth[y, x] for x, y in asked.positive] or truth[y1:y2, x1:x2][truth[y1:y2, x1:x2] > 0]
        asked_views.append(camera.image_name)
        return torch.from_numpy((truth == np.bincount(np.ravel(meant)).argmax()) & (truth > 0))

    monkeypatch.setattr(script, "sam_decoder", lambda job: decode)
    rows, columns = np.nonzero(true_view(run, "train__001") == 1)
    words = {"point": ["--point", int(np.median(columns)), int(np.median(rows))], "box": ["--box", *box_of(run, 0)]}
    segment(run, "--sam", *words[prompt], "--name", f"sam_{prompt}")
    folder, arrays = result(run, f"sam_{prompt}")
    assert (arrays["mask"] == (BALLS == 0)).mean() > 0.95
    assert mean_iou(run, folder, "masks", 255, 1) > 0.85
    assert len(set(asked_views)) == len(asked_views) >= 6, "nearly every view was asked, each once"


@pytest.mark.parametrize("action", ["extract", "remove", "recolor", "highlight"])
def test_an_action_renders_the_edited_scene(run, action):
    segment(run, "--text", "green", "--action", action, "--color", 1, 1, 1, "--name", action)
    folder = run / "segment" / action
    edited = read_splats(folder / "edited.ply")
    green = int(result(run, action)[1]["mask"].sum())
    assert len(edited) == {"extract": green, "remove": 120 - green}.get(action, 120)
    picture = read_image(folder / action / "train__001.png").astype(int)
    truth = true_view(run, "train__001")
    inside, outside = picture[truth == 2].mean(0), picture[truth == 1].mean(0)
    if action == "extract":
        assert inside[1] > 100 and outside.max() < 60
    elif action == "remove":
        assert inside[1] < 60 and outside[0] > 100
    elif action == "recolor":
        assert inside.min() > 150 and outside[0] > outside[1] + 80
    else:
        assert inside[1] > inside[0] + 80 and np.ptp(outside) < 40, "the others are grey"


@pytest.mark.parametrize(
    "words, message",
    [
        (["--text", "  "], "prompts are"),
        (["--text", "red", "--point", "3", "3"], "several kinds of prompts"),
        (["--point", "3", "3", "--negative", "sky"], "words oppose --text"),
        (["--text", "red", "--negative", "3", "3"], "expected --negative WORD"),
        (["--box", "9", "9", "3", "3"], "box 9 9 3 3 is empty"),
        (["--box", "9", "9", "99", "20"], "leaves the image"),
        (["--box", "9", "9", "12", "12", "--point", "24", "20"], "point 24 20 is outside the box"),
        (["--sam", "--text", "red"], "--sam wants points"),
        (["--sam", "--point", "24", "20"], "expected a model trained with -f sam"),
        (["--label_src", ""], "--label_src is empty"),
        (["--label_src", "a,,b"], "expected different words"),
        (["--everything", "--action", "remove"], "needs one selection"),
        (["--text", "red", "--action", "recolor", "--color", "3", "0", "0"], "three numbers in 0..1"),
    ],
)
def test_a_prompt_that_makes_no_sense_is_one_line(run, words, message):
    with pytest.raises(ValueError, match=message):
        segment(run, *words)


def test_words_for_a_teacher_without_words_are_one_line(run):
    with pytest.raises(UserError, match="'classical' knows no words; .*click instead"):
        script.main(["-m", str(run), "--text", "red", "-f", "classical", *QUICK])


def test_sam_itself_runs_without_knowledge(run, tmp_path):
    """With random weights masks mean nothing, but the whole way from rendered features to masks is walked."""
    model = blob_model().with_features(torch.randn(len(BALLS), 256, generator=torch.Generator().manual_seed(3)))
    folder = write_blob_run(tmp_path, model)
    words = ["--sam", "--sam_weights", "random", "--point", "24", "20", "-f", "sam", "--threshold", "-1"]
    try:
        script.main(["-m", str(folder), *words, *QUICK])
    except UserError as error:
        assert "mask of train/001.png is empty" in str(error)
    else:
        assert result(folder, "object")[1]["mask"].any()
