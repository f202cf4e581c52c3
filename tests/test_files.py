import os
import stat

import pytest

from npalexnet.files import written_whole


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(IsADirectoryError), written_whole(path) as temporary:
        temporary.write_text("half of the n") and tmp_path.write_text("a folder can't be written: the error")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_replaces_the_old_one_with_ordinary_permissions(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with written_whole(path) as temporary:
        assert path.read_text() == "old"
        temporary.write_text("new")
        os.chmod(temporary, 0o600)
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
