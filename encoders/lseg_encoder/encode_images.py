"""LSeg's maps of a folder of pictures, with the flags and the files of Feature 3DGS.

    cd encoders/lseg_encoder
    python -u encode_images.py --backbone clip_vitl16_384 --weights demo_e200.ckpt --widehead --no-scaleinv \\
        --outdir ../../data/room/rgb_feature_langseg --test-rgb-dir ../../data/room/images --workers 0

Writes `<stem>_fmap_CxHxW.pt` (fp16, not normalised), `<stem>.png` (class ids with a palette), `<stem>.png_vis.png`,
`<stem>.png_legend.png`, `<stem>.png_feature_vis.png` and `pca.safetensors`. `train.py -f lseg` needs none of this: it
makes its own maps.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from encoders.lseg_net.feature3dgs_script import encode_images
from utils.script import run

if __name__ == "__main__":
    run(lambda: encode_images("LSeg's maps of a folder of pictures, as Feature 3DGS makes them.", normalise=False))
