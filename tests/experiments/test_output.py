"""Output folders: whole or not at all, and never over foreign files."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import pytest

from kuzbass.errors import InputError
from kuzbass.experiments.output import MANIFEST, data_record, output_folder


def write(place: Path, text: str = "a\n1\n", *, keep: bool = False) -> Path:
    with output_folder(place, keep=keep, command="kuzbass test") as folder:
        (folder.path / "table.csv").write_text(text, encoding="utf-8")
        folder.manifest["seed"] = 7
    return folder.target


def write_and_stop(place: Path, stop: type[BaseException]) -> None:
    with output_folder(place) as folder:
        (folder.path / "table.csv").write_text("half", encoding="utf-8")
        raise stop


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_folder_is_whole_and_says_what_is_in_it(tmp_path: Path) -> None:
    target = write(tmp_path / "a" / "b")
    assert target == tmp_path / "a" / "b"
    assert tree(tmp_path) == {"a", "a/b", "a/b/table.csv", f"a/b/{MANIFEST}"}
    manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    assert manifest == {
        "program": "kuzbass", "command": "kuzbass test", "seed": 7,
        "files": {"table.csv": hashlib.sha256(b"a\n1\n").hexdigest()},
    }


def test_nothing_stands_in_the_place_before_the_end(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as folder:
        assert folder.path != folder.target
        assert not folder.target.exists()
    assert folder.target.is_dir()


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_interrupted_block_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    with pytest.raises(stop):
        write_and_stop(tmp_path / "new" / "out", stop)
    assert tree(tmp_path) == set()


def test_interrupted_block_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    target = write(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(target, KeyboardInterrupt)
    assert (target / "table.csv").read_text(encoding="utf-8") == "a\n1\n"
    assert tree(tmp_path) == {"out", "out/table.csv", f"out/{MANIFEST}"}


def test_own_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = write(tmp_path / "out")
    (target / "stale.csv").write_text("old", encoding="utf-8")
    write(target, "b\n2\n")
    assert tree(tmp_path) == {"out", "out/table.csv", f"out/{MANIFEST}"}
    assert (target / "table.csv").read_text(encoding="utf-8") == "b\n2\n"


@pytest.mark.parametrize("manifest", [None, "{broken", "[1]", '{"program": "another"}'])
def test_foreign_folder_is_refused(tmp_path: Path, manifest: str | None) -> None:
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "chapter.txt").write_text("years of work", encoding="utf-8")
    if manifest is not None:
        (target / MANIFEST).write_text(manifest, encoding="utf-8")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="was not written by kuzbass") as caught:
        write(target)
    assert str(target) in str(caught.value)
    assert "--keep" in str(caught.value)
    assert tree(tmp_path) == before


def test_file_in_the_place_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="found: a file"):
        write(place)
    assert place.read_text(encoding="utf-8") == "x"


def test_folder_that_appears_during_the_block_is_spared(tmp_path: Path) -> None:
    def interfere() -> None:
        with output_folder(tmp_path / "out"):
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "mine.txt").write_text("x", encoding="utf-8")

    with pytest.raises(InputError, match="was not written by kuzbass"):
        interfere()
    assert tree(tmp_path) == {"out", "out/mine.txt"}


def test_keep_writes_beside(tmp_path: Path) -> None:
    names = [write(tmp_path / "out", str(number), keep=True).name for number in range(3)]
    assert names == ["out", "out-2", "out-3"]
    assert (tmp_path / "out" / "table.csv").read_text(encoding="utf-8") == "0"


def test_keep_writes_beside_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write(tmp_path / "out", keep=True).name == "out-2"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("keep", [False, True])
def test_place_below_a_file_is_one_clear_message(tmp_path: Path, keep: bool) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory\)") as caught:
        write(tmp_path / "file" / "deep" / "out", keep=keep)
    assert str(tmp_path / "file" / "deep" / "out") in str(caught.value)
    assert tree(tmp_path) == {"file"}


def test_full_disk_is_one_clear_message(tmp_path: Path) -> None:
    with (pytest.raises(InputError, match=r"cannot be written .No space left"),
          output_folder(tmp_path / "out")):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert tree(tmp_path) == set()


def test_error_elsewhere_keeps_its_own_message(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), output_folder(tmp_path / "out"):
        (tmp_path / "lost.csv").read_text(encoding="utf-8")
    assert tree(tmp_path) == set()


def test_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = write(tmp_path / "out")
    rename = Path.rename

    def fail_once(self: Path, place: Path) -> Path:
        if self.suffix == ".part":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return rename(self, place)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(InputError, match="Permission denied"):
        write(target, "new")
    assert (target / "table.csv").read_text(encoding="utf-8") == "a\n1\n"
    assert tree(tmp_path) == {"out", "out/table.csv", f"out/{MANIFEST}"}


def test_root_is_no_output_folder() -> None:
    with pytest.raises(InputError, match="not a possible output folder"):
        write(Path("/"), keep=True)


def test_data_hash_follows_every_byte_and_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n", encoding="utf-8")
    first = data_record(tmp_path)
    assert first["files"] == {"a.csv": hashlib.sha256(b"x\n1\n").hexdigest()}
    (tmp_path / "a.csv").write_text("x\n2\n", encoding="utf-8")
    second = data_record(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    hashes = {str(record["sha256"]) for record in (first, second, data_record(tmp_path))}
    assert len(hashes) == 3
