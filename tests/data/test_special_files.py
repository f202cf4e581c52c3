"""What is no regular file, and formats that are not read."""

import os
import socket
import sys

import pytest
from PIL import EpsImagePlugin, Image

from npalexnet.cli import main
from npalexnet.data import open_data, open_picture
from npalexnet.data.images import find_images
from tests.data.pictures import fill, noise
from tests.networks import save_bright_network

posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices in folders are POSIX's")


@pytest.fixture
def special(tmp_path):
    """A folder with a pipe, a socket, a link to a device and a folder, all named as pictures."""
    folder = tmp_path / "train" / "a"
    fill(tmp_path / "train", a=2, b=2)
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(folder)  # the path of a socket must be short
        made.bind("socket.jpg")
        os.chdir(here)
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "folder.jpg").mkdir()
    return folder


KINDS = {
    "pipe.jpg": "a named pipe, not a file", "socket.jpg": "a socket, not a file",
    "device.jpg": "a device, not a file", "folder.jpg": "a folder",
}  # fmt: skip


@posix
def test_training_names_and_skips_what_is_no_file(special, tmp_path):
    data = open_data(tmp_path)
    assert len(data.train) + len(data.validation) == 4
    for name, kind in KINDS.items():
        assert f"  {special / name} is {kind}" in data.notes


@posix
@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_such_a_file_is_refused_without_being_opened(special, monkeypatch, name, kind):
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(OSError, match=rf"{name} is {kind}"):
        open_picture(special / name)


@posix
def test_predict_names_them_and_goes_on(narrow, special, tmp_path, capsys):
    os.mkfifo(special / "pipe")
    save_bright_network(tmp_path)
    weights = str(tmp_path / "weights.safetensors")
    assert main(["predict", weights, str(special), "--top", "1"]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines()[::2] == [str(special / "000.png"), str(special / "001.png")]
    for name in ("pipe.jpg", "socket.jpg", "device.jpg"):
        assert f"error: {special / name} is {KINDS[name]}" in output.err
    assert f"left out: {special / 'pipe'} is a named pipe, not a file" in output.err
    assert main(["predict", weights, str(special / "pipe")]) == 1
    assert f"error: {special / 'pipe'} is a named pipe, not a file" in capsys.readouterr().err


@posix
def test_predict_reads_in_a_folder_what_training_reads(tmp_path):
    fill(tmp_path / "elsewhere", cat=2)
    fill(tmp_path / "train", dog=1)
    (tmp_path / "train" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "train" / "cat" / "000.png").rename(tmp_path / "train" / "cat" / "no-suffix")
    (tmp_path / "train" / "dog" / "again").symlink_to(tmp_path / "train")  # back to where it came from
    (tmp_path / "train" / "dog" / "notes.txt").write_text("no picture")
    (tmp_path / "train" / "dog" / ".hidden.png").write_bytes((tmp_path / "train" / "dog" / "000.png").read_bytes())
    paths, faults = find_images(tmp_path / "train")
    assert [os.path.relpath(path, tmp_path / "train") for path in paths] == [
        "cat/001.png", "cat/no-suffix", "dog/000.png"
    ]  # fmt: skip
    assert faults == []


@posix
def test_folders_that_can_not_be_read_are_named_and_the_others_are(tmp_path, monkeypatch):
    fill(tmp_path, cat=1, dog=1)
    listdir = os.listdir

    def refused(folder):
        if os.path.basename(folder) == "cat":
            raise PermissionError(13, "Permission denied", folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refused)
    paths, faults = find_images(tmp_path)
    assert paths == [str(tmp_path / "dog" / "000.png")]
    assert faults == [f"Permission denied: '{tmp_path / 'cat'}'"]


def test_postscript_never_reaches_ghostscript(tmp_path, monkeypatch):
    (tmp_path / "picture.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 20\n%%EndComments\n0 0 moveto\nshowpage\n%%EOF\n"
    )
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("handed to Ghostscript"))
    with pytest.raises(OSError, match=r"picture\.jpg is not an image file"):
        open_picture(tmp_path / "picture.jpg")


@pytest.mark.parametrize("kind", ["PDF", "EPS", "ICO", "ICNS"])
def test_formats_that_hold_no_photographs_are_not_read(tmp_path, kind):
    noise((32, 32)).save(tmp_path / "picture.png", kind)
    with pytest.raises(OSError, match=r"picture\.png is not an image file"):
        open_picture(tmp_path / "picture.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "PCX", "SGI", "JPEG2000"])
def test_picture_formats_are_read_whatever_the_name(tmp_path, kind):
    noise().save(tmp_path / "picture", kind)
    assert open_picture(tmp_path / "picture").size == (40, 30)


def test_an_animation_counts_as_its_first_picture(tmp_path):
    first, second = Image.new("RGB", (9, 8), "red"), Image.new("RGB", (9, 8), "blue")
    for suffix in ("gif", "webp", "png", "tiff"):
        first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second] * 3)
        red, green, blue = open_picture(tmp_path / f"a.{suffix}").getpixel((4, 4))
        assert red > 250 > 5 > max(green, blue)


def test_a_readers_error_names_the_file(tmp_path, monkeypatch):
    noise().save(tmp_path / "a.png")

    def fail(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    with pytest.raises(OSError, match=r"Input/output error: '.*a\.png'"):
        open_picture(tmp_path / "a.png")
