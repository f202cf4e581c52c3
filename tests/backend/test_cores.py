"""How many cores may be used: the system's number, and Linux's control groups as files of the same form."""

import os

import pytest

from npalexnet.backend.cores import usable_cores

V2 = "31 23 0:28 {root} {top} rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup rw,nsdelegate\n"
V1 = "32 31 0:29 {root} {top} rw,nosuid shared:11 master:3 - cgroup cgroup rw,cpu,cpuacct\n"
OTHER = "33 31 0:30 / {top} rw - cgroup cgroup rw,memory\n22 27 0:21 / /proc rw,relatime - proc proc rw\nnonsense\n"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)


@pytest.fixture
def linux(tmp_path):
    """Write what Linux says of a process, and limits of groups; return the folder of the process."""

    def write(group, mounts, limits, root="/"):
        proc, top = tmp_path / "proc", tmp_path / "cgroup top"
        proc.mkdir()
        (proc / "cgroup").write_text(group)
        (proc / "mountinfo").write_text(mounts.format(root=root, top=str(top).replace(" ", "\\040")))
        for name, text in limits.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(text)
        return proc

    return write


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),  # rounded up
        ("10000 100000", 1),
        ("300000 50000", 6),
        ("6400000 100000", 8),  # no more than there are
        ("max 100000", 8),
        ("", 8),
        ("none", 8),
        ("200000 0", 8),
    ],
)
def test_the_quota_of_version_2_is_heard(linux, limit, expected):
    assert usable_cores(linux("0::/\n", OTHER + V2, {"cpu.max": limit + "\n"})) == expected


@pytest.mark.parametrize(
    ("outer", "inner", "expected"), [("max", "250000", 3), ("250000", "max", 3), ("100000", "300000", 1)]
)
def test_the_smallest_quota_of_all_groups_around_it_holds(linux, outer, inner, expected):
    limits = {"a.slice/cpu.max": f"{outer} 100000\n", "a.slice/b.scope/cpu.max": f"{inner} 100000\n"}
    assert usable_cores(linux("0::/a.slice/b.scope\n", V2, limits)) == expected


@pytest.mark.parametrize(("quota", "expected"), [("150000", 2), ("-1", 8), ("50000", 1)])
@pytest.mark.parametrize("root", ["/", "/docker/abc"])
def test_the_quota_of_version_1_is_heard_from_inside_a_container_and_outside(linux, quota, expected, root):
    folder = "docker/abc/" if root == "/" else ""
    limits = {f"{folder}cpu.cfs_quota_us": quota + "\n", f"{folder}cpu.cfs_period_us": "100000\n"}
    groups = "9:memory:/other\n4:cpu,cpuacct:/docker/abc\n0::/\n"
    assert usable_cores(linux(groups, OTHER + V1, limits, root)) == expected


def test_a_group_outside_of_what_a_container_sees_has_the_limits_of_the_mount(linux):
    proc = linux("0::/../other\n", V2, {"cpu.max": "100000 100000\n"}, root="/docker/abc")
    assert usable_cores(proc) == 1


def test_limits_of_memory_and_of_groups_beside_are_none_of_ours(linux):
    limits = {"beside/cpu.max": "100000 100000\n", "cpu.cfs_quota_us": "100000\n", "cpu.cfs_period_us": "100000\n"}
    assert usable_cores(linux("0::/mine\n9:memory:/\n", OTHER, limits)) == 8


def test_where_there_are_no_such_files_all_cores_are_used(tmp_path):
    assert usable_cores(tmp_path) == 8


@pytest.mark.parametrize("cores", [None, 0])
def test_at_least_one_core_is_used(tmp_path, monkeypatch, cores):
    monkeypatch.setattr(os, "process_cpu_count", lambda: cores)
    assert usable_cores(tmp_path) == 1


def test_before_python_3_13_the_allowed_cores_are_counted(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6}, raising=False)
    assert usable_cores(tmp_path) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_cores(tmp_path) == 5
