import subprocess
import sys
import threading
import time

import pytest
from PIL import Image

from npalexnet.data import DataLoader, FolderDataset, Pipeline, ResizeCenterCrop, Statistics, images, memory
from npalexnet.data.images import open_picture
from npalexnet.data.inspection import inspect
from npalexnet.data.memory import Reservations, memory_allowed, picture_limit
from tests.data.files_by_hand import png
from tests.data.pictures import noise


def save(image, path, **options):
    image.save(path, **options)
    return path


FORMATS = {
    "a.png": {}, "a.gif": {}, "a.webp": {}, "a.tiff": {"compression": "tiff_lzw"}, "a.bmp": {},
    "a.jpg": {"progressive": True}, "a.ppm": {},
}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), FORMATS.items(), ids=FORMATS)
def test_a_picture_that_would_take_too_much_memory_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch, name, options
):
    path = save(Image.new("RGB", (700, 500)), tmp_path / name, **options)
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", "100")
    assert open_picture(path).size == (700, 500)
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", "1")
    monkeypatch.setattr(images, "to_rgb", lambda *_: pytest.fail("decoded"))
    with pytest.raises(
        OSError, match=rf"{name} is too large: (to decode 700 x 500 pixels may take [\d,]+|a file of 1) MB"
    ):
        open_picture(path)
    assert "a picture may take 1; make it smaller, or set NPALEXNET_PICTURE_MEMORY" in inspect([str(path)])[0].fault


def test_memory_is_what_counts_not_pillows_number_of_pixels(tmp_path):
    path = tmp_path / "large.png"  # 200 megapixels of one bit, more than Pillow opens by default
    path.write_bytes(png(20000, 10000, 1, 0, []))
    assert Image.MAX_IMAGE_PIXELS == images.PILLOWS_LIMIT
    with pytest.raises(OSError, match=r"large\.png is damaged, or not usable: image file is truncated|is too large"):
        open_picture(path)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_a_wrong_bound_is_refused(monkeypatch, text):
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", text)
    with pytest.raises(ValueError, match="NPALEXNET_PICTURE_MEMORY must be a number of megabytes, at least 1, got "):
        picture_limit()


def test_a_picture_may_take_a_quarter_of_the_memory(monkeypatch):
    monkeypatch.delenv("NPALEXNET_PICTURE_MEMORY", raising=False)
    monkeypatch.setattr(memory, "memory_allowed", lambda: 4_000_000_000)
    assert picture_limit() == 1_000_000_000
    monkeypatch.setattr(memory, "memory_allowed", lambda: 1 << 40)
    assert picture_limit() == 1 << 30


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_the_limit_of_the_process_counts():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (10**10 // 2, 10**10 // 2));"
        "from npalexnet.data.memory import memory_allowed; print(memory_allowed())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(found.stdout) <= 10**10 // 2
    assert memory_allowed() > 0


def test_a_cgroups_limit_counts_whatever_folder_it_is_in(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("1234\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    (tmp_path / "cgroup").write_text("0::/a/b/missing\n")
    real = memory.Path

    def elsewhere(path):
        return {"/proc/self/cgroup": tmp_path / "cgroup", "/sys/fs/cgroup": tmp_path}.get(path, real(path))

    monkeypatch.setattr(memory, "Path", elsewhere)
    assert list(memory._cgroup_limits()) == [1234]


class Watched(Reservations):
    """Keeps the largest number of bytes that were reserved at a time."""

    most = 0

    def reserve(self, size, capacity):
        outer = super().reserve(size, capacity)
        watched = self

        class Context:
            def __enter__(self):
                outer.__enter__()
                watched.most = max(watched.most, watched._used)
                time.sleep(0.005)  # for the other threads to come

            def __exit__(self, *error):
                return outer.__exit__(*error)

        return Context()


@pytest.fixture
def watched(tmp_path, monkeypatch):
    for i in range(12):
        noise((100, 100), seed=i).save(tmp_path / f"{i:02}.png")
    watched = Watched()
    for module in ("images", "inspection", "loader", "statistics"):
        monkeypatch.setattr(f"npalexnet.data.{module}.PICTURES", watched)
    monkeypatch.setattr(images, "TOGETHER", 1_000_000 // (2 * 100 * 100 * 8))  # of a megabyte, what two take
    monkeypatch.setenv("NPALEXNET_PICTURE_MEMORY", "1")
    return watched


def test_the_look_decodes_no_more_at_a_time_than_memory_is_for(tmp_path, watched):
    paths = sorted(str(path) for path in tmp_path.glob("*.png"))
    assert [finding.fault for finding in inspect(paths)] == [None] * 12
    assert 0 < watched.most <= 2 * 100 * 100 * 8 * 1.1


def test_the_loader_and_the_statistics_keep_to_it_too_until_pictures_are_dropped(tmp_path, watched):
    paths = sorted(str(path) for path in tmp_path.glob("*.png"))
    data = FolderDataset(paths, [0] * 12, ["a"])
    assert (
        sum(len(labels) for _, labels in DataLoader(data, Pipeline([ResizeCenterCrop(9)]), 4, workers=8).epoch(0)) == 12
    )
    Statistics.fit(data, workers=8)
    assert 0 < watched.most <= 2 * 100 * 100 * 8 * 1.1
    assert watched._used == 0


def test_a_thread_that_holds_memory_never_waits_and_a_large_picture_comes_when_it_is_alone():
    pictures = Reservations()
    with pictures.held():
        for _ in range(3):
            with pictures.reserve(10, 10):
                pass
        assert pictures._used == 30
        done = threading.Event()

        def other():
            with pictures.reserve(99, 10):
                done.set()

        thread = threading.Thread(target=other)
        thread.start()
        assert not done.wait(0.05)
    assert done.wait(5)
    thread.join()
    assert pictures._used == 0


def test_nothing_stays_reserved_after_an_error():
    pictures = Reservations()
    with pytest.raises(KeyError), pictures.held(), pictures.reserve(5, 10):
        raise KeyError
    with pytest.raises(KeyError), pictures.reserve(5, 10):
        raise KeyError
    assert pictures._used == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_picture_is_not_there_a_third_time(tmp_path):
    Image.new("RGB", (4000, 3000), "teal").save(tmp_path / "a.tiff", tiffinfo={0x112: 6}, compression="tiff_lzw")
    code = (
        "import sys; from npalexnet.data.images import open_picture; open_picture(sys.argv[2]);"
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]);"
        "before = peak(); open_picture(sys.argv[1]); print(peak() - before)"
    )
    noise().save(tmp_path / "small.tiff", compression="tiff_lzw")
    command = [sys.executable, "-c", code, str(tmp_path / "a.tiff"), str(tmp_path / "small.tiff")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 4000 * 3000 * 4 < int(found.stdout) * 1024 < 4000 * 3000 * 10  # decoded and turned: 8 bytes for each pixel
