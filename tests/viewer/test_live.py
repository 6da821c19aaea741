from viewer.live import LiveTraining


def test_the_table_of_figures():
    live = LiveTraining(100, iteration=7, figures={"loss": 0.25, "psnr": 21.5, "count": 120, "other": 1})
    text = live.text()
    for part in ("7 of 100", "| loss | 0.25 |", "21.5", "120", "| state | training |"):
        assert part in text
    assert "other" not in text
    live.is_paused = True
    assert "| state | paused |" in live.text()
    live.is_over = True
    assert "| state | finished |" in live.text()
