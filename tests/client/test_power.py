"""A power cut: only what was forced to the disk is left."""

import shutil

import pytest

from test_delivery import site  # noqa: F401  (a fixture)
from test_library import BUILD, SANITIZED
from tracker import segments

DISK = BUILD / "lib" / "forgetful_disk.so"


def restore(notes, directory, target):
    """Makes of a directory what the notes say that the disk still knows of it."""
    target.mkdir()
    listing = notes / f"{directory.stat().st_ino}.dir"
    for line in listing.read_text().splitlines() if listing.exists() else []:
        inode, name = line.split(" ", 1)
        if name in (".", ".."):
            continue
        there, back = directory / name, target / name
        if there.is_dir():
            restore(notes, there, back)
        elif (notes / f"{inode}.file").exists():
            shutil.copyfile(notes / f"{inode}.file", back)
        else:
            back.touch()


@pytest.mark.skipif(SANITIZED, reason="sanitizers want to be loaded first")
@pytest.mark.parametrize("batches", [1, 40])
def test_what_was_synced_survives(site, tmp_path, batches):  # noqa: F811
    """Within one segment, and over many: small caps make small segments."""
    notes = tmp_path / "notes"
    notes.mkdir()
    before = tmp_path / "before"
    before.mkdir()
    spool = before / "some" / "spool"
    site.down()
    try:
        tracker = site.tracker(spool, max_bytes=1 << 17, environment={"LD_PRELOAD": str(DISK), "FORGETFUL_DISK": str(notes)})
        run = tracker.run()
        synced = []
        for _ in range(batches):
            tracker.emit(3)
            synced += tracker.sync(8)
        tracker.kill()
        assert len(segments(spool)) >= (3 if batches > 1 else 1)
        restore(notes, before, tmp_path / "after")
        shutil.rmtree(before)
    finally:
        site.up()
    with site.tracker(tmp_path / "after" / "some" / "spool") as successor:
        successor.flush()
    ids = site.ids(run)
    assert len(ids) == len(set(ids)) and set(synced) <= set(ids)
    assert len(ids) == 11 * batches, "what went before in the same run was forced along with it"


@pytest.mark.skipif(SANITIZED, reason="sanitizers want to be loaded first")
def test_the_disk_does_forget(site, tmp_path):  # noqa: F811
    """Without fsync nothing is left: the test above would fail if nothing were forced."""
    notes, before = tmp_path / "notes", tmp_path / "before"
    notes.mkdir()
    before.mkdir()
    site.down()
    try:
        tracker = site.tracker(before / "spool", fsync=2,
                               environment={"LD_PRELOAD": str(DISK), "FORGETFUL_DISK": str(notes)})
        tracker.run()
        tracker.sync(5)
        tracker.kill()
    finally:
        site.up()
    restore(notes, before, tmp_path / "after")
    assert not any(path.stat().st_size for path in segments(tmp_path / "after" / "spool"))
