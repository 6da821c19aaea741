import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from utils.report import Section, write_report


class Balance(HTMLParser):
    """Raises when tags do not close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.void = [], {"meta", "img"}

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_self_contained_well_formed_and_escaped(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    rows = [{"what": "psnr <dB>", "value": 27.123456}, {"what": "count", "value": 12}, {"what": "flag", "value": True}]
    sections = [Section("A & B", "one\ntwo", rows, [("view <0>", image), ("mask", image[:, :, 0])]), Section("empty")]
    write_report(tmp_path / "r.html", "<script>", sections)
    page = (tmp_path / "r.html").read_text()
    checker = Balance()
    checker.feed(page)
    assert checker.open == []
    assert "<script>" not in page and "A &amp; B" in page and "view &lt;0&gt;" in page and "27.123" in page
    assert not re.search(r"https?://", page)
    data = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data[0])))), image)
    assert len(data) == 2
