"""Zip and tar files of pictures, read in place: the same pictures as in folders; hostile ones refused or left out."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import sys
import tarfile
import zipfile

import pytest
from PIL import Image

from npalexnet.data import archive as archives
from npalexnet.data import members, open_data
from npalexnet.data.archive import Archive
from tests.data.test_layout import check, check_pixels, colour


def png(value=0):
    file = io.BytesIO()
    Image.new("RGB", (6, 5), (value, 0, 0)).save(file, "png")
    return file.getvalue()


def write_tar(path, entries, mode="w"):
    """Write a tar of (name or TarInfo, content) pairs."""
    with tarfile.open(path, mode) as tar:
        for entry, content in entries:
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(entry)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def packed(kind, folder, path):
    """Pack a folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if kind in ("zip", "stored.zip"):
        how = zipfile.ZIP_DEFLATED if kind == "zip" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", how) as file:
            for name in files:
                file.write(name, name.relative_to(folder.parent))
        return
    with tarfile.open(path, "w" + kind[3:].replace(".", ":").replace("tgz", ":gz")) as tar:
        tar.add(folder, folder.name)


@pytest.fixture
def folder(tmp_path):
    colour(tmp_path / "pets" / "train", 3)
    colour(tmp_path / "pets" / "valid", 2)
    (tmp_path / "pets" / "__MACOSX").mkdir()
    (tmp_path / "pets" / "__MACOSX" / "._0.png").write_bytes(b"rubbish")
    return tmp_path / "pets"


@pytest.mark.parametrize("kind", ["zip", "stored.zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_is_read_as_its_folder_is(folder, tmp_path, kind):
    path = tmp_path / "an archive of any name"
    packed(kind, folder, path)
    before = path.read_bytes()
    data = open_data(path, strict=True)
    check(data, 6, 4)
    assert data.train.name(0) == f"{path}/pets/train/cat/0.png"
    assert data.found.startswith(f"Found train/ and valid/ in {path}/pets: 6 pictures of 2 classes")
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["an archive of any name", "pets"]


def test_a_split_of_an_archive_is_restored(tmp_path):
    colour(tmp_path / "pets", 10)
    packed("zip", tmp_path / "pets", tmp_path / "pets.zip")
    first = open_data(tmp_path / "pets.zip", seed=3)
    assert first.randomly_split
    (tmp_path / "pets.zip").rename(tmp_path / "moved.zip")
    moved = open_data(tmp_path / "moved.zip", seed=4, split=first.split())
    for part in ("train", "val"):
        assert moved.split()[part] == [name.replace("pets.zip", "moved.zip") for name in first.split()[part]]


@pytest.mark.skipif(sys.platform == "win32", reason="fork is POSIX's")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_forked_workers_read_the_right_pictures(folder, tmp_path, kind):
    packed(kind, folder, tmp_path / "pets.archive")
    data = open_data(tmp_path / "pets.archive")
    check_pixels(data.train)  # the file is open before the fork
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for _ in range(20):
                    check_pixels(data.train)
            except BaseException:
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    for _ in range(20):
        check_pixels(data.train)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_data_set_can_be_pickled(folder, tmp_path, kind):
    packed(kind, folder, tmp_path / "pets.archive")
    check_pixels(pickle.loads(pickle.dumps(open_data(tmp_path / "pets.archive").train)))


@pytest.mark.parametrize("name", ["../../evil.png", "train/cat/../../../x.png", "/../x.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_is_refused(tmp_path, kind, name):
    path = tmp_path / "hostile"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(name, png())
    else:
        write_tar(path, [(name, png())])
    with pytest.raises(ValueError, match="which leads out of the archive: it is not read"):
        open_data(path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_skipped_by_name(tmp_path, kind, mode):
    special = tarfile.TarInfo("train/cat/9.png")
    special.type, special.linkname = kind, "/etc/passwd"
    good = [(f"train/{name}/{i}.png", png()) for name in ("cat", "dog") for i in range(3)]
    write_tar(tmp_path / "hostile.tar", [*good, (special, b"")], mode)
    data = open_data(tmp_path / "hostile.tar")
    assert len(data.train) + len(data.validation) == 6
    assert data.notes[:2] == [
        "1 file skipped, no usable pictures:",
        f"  {tmp_path}/hostile.tar/train/cat/9.png is a link, a device or another special file in its archive",
    ]


def test_a_link_in_a_zip_is_skipped_by_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as file:
        for name in ("cat", "dog"):
            for i in range(3):
                file.writestr(f"train/{name}/{i}.png", png())
        info = zipfile.ZipInfo("train/cat/9.png")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    data = open_data(tmp_path / "hostile.zip")
    assert data.notes[1] == f"  {tmp_path}/hostile.zip/train/cat/9.png is a link in its archive"


def test_a_file_that_unpacks_to_too_much_is_skipped_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MOST_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("cat", "dog"):
            for i in range(3):
                file.writestr(f"train/{name}/{i}.png", png())
        file.writestr("train/cat/9.png", bytes(1_000_000))
    data = open_data(tmp_path / "bomb.zip")
    assert "9.png is too large for a picture in an archive: 1,000,000 bytes, at most 1,000 are read" in data.notes[1]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_tar_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(members, "MOST_UNPACKED", 3_000_000)
    write_tar(tmp_path / "bomb.tar", [("train/cat/1.png", bytes(20_000_000))])
    (tmp_path / "bomb.tar.gz").write_bytes(pack((tmp_path / "bomb.tar").read_bytes()))
    with pytest.raises(ValueError, match=r"has more than 2 MiB when it is unpacked"):
        open_data(tmp_path / "bomb.tar.gz")


def test_too_many_files_or_folders_in_one_another_are_refused(tmp_path, monkeypatch):
    write_tar(tmp_path / "deep.tar", [("a/" * 5000 + "1.png", b"")])
    with pytest.raises(ValueError, match="holds 5,001 folders in one another, at most 100 are read"):
        Archive(tmp_path / "deep.tar")
    monkeypatch.setattr(archives, "MOST_ENTRIES", 20)
    write_tar(tmp_path / "many.tar", [(f"a/{i}.png", b"") for i in range(30)])
    with pytest.raises(ValueError, match="holds more than 20 files and folders"):
        Archive(tmp_path / "many.tar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_cut_short_at_any_place_is_refused_or_its_pictures_are(folder, tmp_path, kind):
    packed(kind, folder, tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    messages = []
    for share in (0.02, 0.3, 0.5, 0.9, 0.99):
        (tmp_path / "cut").write_bytes(content[: int(len(content) * share)])
        try:
            data = open_data(tmp_path / "cut")
        except ValueError as error:
            messages.append(str(error))
        else:
            check_pixels(data.train)
    assert all(str(tmp_path / "cut") in message for message in messages)
    assert messages


def test_flipped_bytes_in_a_zip_are_seen_by_its_checksum(folder, tmp_path):
    packed("stored.zip", folder, tmp_path / "pets.zip")
    content = bytearray((tmp_path / "pets.zip").read_bytes())
    place = content.index(b"IDAT")
    content[place + 10] ^= 1
    (tmp_path / "pets.zip").write_bytes(content)
    data = open_data(tmp_path / "pets.zip")
    assert data.notes[0] == "1 file skipped, no usable pictures:"
    assert "can't be read from its archive: Bad CRC-32" in data.notes[1]


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "some.zip").write_text("I am a text")
    with pytest.raises(ValueError, match="is not a folder, and no zip or tar file either"):
        open_data(tmp_path / "some.zip")


def test_names_of_a_zip_from_windows_have_backslashes_and_from_macos_utf_8_unsaid(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as file:
        for name in ("cat", "dog"):
            for i in range(10):
                info = zipfile.ZipInfo("x")
                info.filename, info.create_system = f"train\\{name}\\{i}.png", 0
                file.writestr(info, png())
    data = open_data(tmp_path / "some.zip")
    assert data.classes == ("cat", "dog")
    assert len(data.train) == 18


def test_backslashes_part_the_folders_in_a_zip_that_has_no_slashes(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as file:
        for name in ("cat", "dog"):
            for i in range(10):
                info = zipfile.ZipInfo("x")
                info.filename, info.create_system = f"train\\{name}\\{i}.png", 3
                file.writestr(info, png())
    assert open_data(tmp_path / "some.zip").classes == ("cat", "dog")


def test_an_encrypted_picture_in_a_zip_is_skipped_with_a_word_on_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as file:
        for name in ("cat", "dog"):
            for i in range(3):
                file.writestr(f"{name}/{i}.png", png())
    content = bytearray((tmp_path / "some.zip").read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # of the flags in both headers of the first file
        content[content.index(magic) + offset] |= 1
    (tmp_path / "some.zip").write_bytes(content)
    data = open_data(tmp_path / "some.zip")
    assert data.notes[1] == f"  {tmp_path}/some.zip/cat/0.png is encrypted: pack it without a password"


@pytest.mark.parametrize(
    ("magic", "what"), [(b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"\x28\xb5\x2f\xfd", "compressed by Zstandard")]
)
def test_an_archive_of_another_kind_is_called_by_its_name(tmp_path, magic, what):
    (tmp_path / "pets").write_bytes(magic + bytes(1000))
    with pytest.raises(ValueError, match=rf"no zip or tar file either \({what}: unpack it\)"):
        open_data(tmp_path / "pets")
