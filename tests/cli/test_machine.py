import os

import psutil
import pytest

from bids_inpaint.cli.process import usable_cpus, usable_memory_gb


@pytest.fixture
def write(tmp_path):
    """Writer of a file below a made-up root."""

    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + '\n')

    return write_file


@pytest.fixture(autouse=True)
def big_machine(monkeypatch):
    """Eight CPUs and 64 GB free, whatever the tests run on."""
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(8)))
    memory = psutil.virtual_memory()._replace(available=64_000_000_000)
    monkeypatch.setattr(psutil, 'virtual_memory', lambda: memory)


def test_without_control_groups_the_machine_decides(tmp_path):
    assert usable_cpus(tmp_path) == 8
    assert usable_memory_gb(tmp_path) == 64


def test_limits_of_version_2(tmp_path, write):
    write('proc/self/cgroup', '0::/job')
    write('sys/fs/cgroup/job/cpu.max', '250000 100000')
    write('sys/fs/cgroup/job/memory.max', '4000000000')
    assert usable_cpus(tmp_path) == 2
    assert usable_memory_gb(tmp_path) == 4


def test_limits_of_version_1(tmp_path, write):
    write('proc/self/cgroup', '5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/job')
    write('sys/fs/cgroup/cpu/job/cpu.cfs_quota_us', '300000')
    write('sys/fs/cgroup/cpu/job/cpu.cfs_period_us', '100000')
    write('sys/fs/cgroup/memory/job/memory.limit_in_bytes', '3000000000')
    assert usable_cpus(tmp_path) == 3
    assert usable_memory_gb(tmp_path) == 3


def test_group_of_another_controller_does_not_count(tmp_path, write):
    write('proc/self/cgroup', '4:memory:/other\n5:cpu:/job')
    write('sys/fs/cgroup/cpu/other/cpu.cfs_quota_us', '100000')
    write('sys/fs/cgroup/cpu/other/cpu.cfs_period_us', '100000')
    assert usable_cpus(tmp_path) == 8


def test_limit_further_up_holds_as_well(tmp_path, write):
    write('proc/self/cgroup', '0::/slurm/job/step')
    write('sys/fs/cgroup/slurm/job/step/memory.max', 'max')
    write('sys/fs/cgroup/slurm/job/memory.max', '2000000000')
    write('sys/fs/cgroup/cpu.max', '100000 100000')
    assert usable_memory_gb(tmp_path) == 2
    assert usable_cpus(tmp_path) == 1


@pytest.mark.parametrize('text', ['max 100000', '-1', '', '100000 0'])
def test_no_limit(tmp_path, write, text):
    write('proc/self/cgroup', '0::/')
    write('sys/fs/cgroup/cpu.max', text)
    write('sys/fs/cgroup/memory.max', 'max')
    assert usable_cpus(tmp_path) == 8
    assert usable_memory_gb(tmp_path) == 64


def test_part_of_a_cpu_counts_as_one(tmp_path, write):
    write('proc/self/cgroup', '0::/')
    write('sys/fs/cgroup/cpu.max', '50000 100000')
    assert usable_cpus(tmp_path) == 1
