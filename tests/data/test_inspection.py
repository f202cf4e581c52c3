import numpy as np
import pytest

from npalexnet.data import inspection, open_picture
from npalexnet.data.inspection import inspect, inspect_file
from tests.data.pictures import BROKEN, noise, write_broken, write_good


def test_no_good_picture_is_called_broken(tmp_path):
    assert write_good(tmp_path / "good") == 16
    paths = sorted(str(path) for path in (tmp_path / "good").iterdir() if path.name != ".hidden")
    assert [finding.fault for finding in inspect(paths)] == [None] * 16


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_file_is_found_and_named(tmp_path, name):
    write_broken(tmp_path)
    fault = inspect_file(str(tmp_path / name)).fault
    assert fault is not None
    assert str(tmp_path / name) in fault


def test_a_file_that_vanished_is_a_fault(tmp_path):
    assert "gone.jpg" in inspect_file(str(tmp_path / "gone.jpg")).fault


@pytest.mark.parametrize("name", ["RGB.jpg", "CMYK.jpg", "progressive.jpg", "lossy.webp", "lossless.webp", "RGB.png"])
def test_what_passes_with_a_damage_somewhere_can_be_opened(tmp_path, name):
    write_good(tmp_path / "good")
    noise().save(tmp_path / "good" / "progressive.jpg", progressive=True)
    content, path, rng = (tmp_path / "good" / name).read_bytes(), tmp_path / name, np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged, place = bytearray(content), rng.integers(2, len(content) - 32)
        damaged[place : place + 32] = rng.bytes(32)
        path.write_bytes(damaged)
        if inspect_file(str(path)).fault is None:
            open_picture(path)  # as training would, which ends if this raises
        else:
            refused += 1
    assert refused  # else the damages were none


def test_png_files_are_believed_their_check_sums_and_large_jpegs_decoded_small(tmp_path, monkeypatch):
    noise((80, 64)).save(tmp_path / "a.png")
    noise((80, 64)).save(tmp_path / "a.jpg")
    decoded = []
    monkeypatch.setattr(
        inspection, "open_picture", lambda path, **how: decoded.append((path, open_picture(path, **how).size))
    )
    assert [inspect_file(str(tmp_path / name)).fault for name in ("a.png", "a.jpg")] == [None, None]
    assert decoded == [(str(tmp_path / "a.jpg"), (10, 8))]


@pytest.mark.parametrize(("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("RGB", False), ("P", False)])
def test_grey_pictures_are_told_from_coloured_ones(tmp_path, mode, grey):
    noise(mode=mode).save(tmp_path / "a.png")
    assert inspect_file(str(tmp_path / "a.png")).grey is grey
