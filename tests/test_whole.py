# SPDX-License-Identifier: GPL-2.0-only
"""Files that get their name only when they are complete."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import ConfigError
from percpu_ffi._util.atomic_write import write_whole
from percpu_ffi.cli.files import check_writable

if TYPE_CHECKING:
    from pathlib import Path


def test_old_file_is_kept_when_the_new_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device", "some.tmp")

    target = tmp_path / "chart.svg"
    write_whole(target, b"old")
    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*chart.svg'"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_ctrl_c_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "chart.svg", b"new")
    assert list(tmp_path.iterdir()) == []


def test_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link, target = tmp_path / "link", tmp_path / "folder" / "file"
    link.symlink_to("folder/file")
    for data in (b"created", b"replaced"):
        write_whole(link, data)
        assert link.is_symlink()
        assert target.read_bytes() == data


def test_check_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    check_writable("--save", tmp_path / "there")
    check_writable("--save", tmp_path / "new")
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]
    assert (tmp_path / "there").read_bytes() == b"old"


@pytest.mark.parametrize("path", ["missing/file", "."])
def test_unwritable_path_is_refused_by_the_check(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"--save .*: a file in a folder that can be written"):
        check_writable("--save", tmp_path / path)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_writable("--save", pipe)
    write_whole(pipe, b"data")
    assert os.read(reader, 9) == b"data"
    os.close(reader)
    assert pipe.is_fifo()
