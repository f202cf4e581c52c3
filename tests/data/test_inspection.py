import pytest

from npalexnet.data import inspection
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


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_whole_files_of_common_kinds_are_not_decoded(tmp_path, kind, monkeypatch):
    noise().save(tmp_path / f"a.{kind}")
    monkeypatch.setattr(inspection, "open_picture", lambda path: pytest.fail(f"{path} was decoded"))
    assert inspect_file(str(tmp_path / f"a.{kind}")).fault is None


@pytest.mark.parametrize(("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("RGB", False), ("P", False)])
def test_grey_pictures_are_told_from_coloured_ones(tmp_path, mode, grey):
    noise(mode=mode).save(tmp_path / "a.png")
    assert inspect_file(str(tmp_path / "a.png")).grey is grey
