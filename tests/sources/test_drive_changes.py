"""Google Drive after the first pass: what changed is found by asking for changes, and nothing else is listed."""

from __future__ import annotations

import json
import time

import pytest
from drive_server.faults import Fault
from drive_server.fixtures import drive, listed, pages, source_on, whole
from drive_server.refusals import Refusal, invalid
from drive_server.server import DriveServer

from aion_dagster.errors import CursorExpiredError, SourceError
from aion_dagster.sources import ScanPage
from aion_dagster.sources.drive import DriveSource

__all__ = ["drive"]


def resume_of(source: DriveSource) -> str:
    resume = whole(source).resume
    assert resume is not None
    return resume


def after(source: DriveSource, resume: str) -> tuple[list[str], list[str], str]:
    """Names and removed URIs of a pass that follows changes, and where the next one begins."""
    page = whole(source, resume)
    assert page.resume is not None
    return sorted(f.name for f in page.files), sorted(page.removed), page.resume


def test_nothing_new_costs_two_requests(drive: DriveServer) -> None:
    for number in range(5):
        drive.account.file(f"{number}.jpg", drive.account.folder(f"f{number}"))
    source = source_on(drive)
    resume = resume_of(source)
    drive.faults.count()
    assert after(source, resume)[:2] == ([], [])
    assert drive.faults.asked == {"files.get": 1, "changes.list": 1}


def test_where_there_are_no_shortcuts_none_are_asked_for(drive: DriveServer) -> None:
    source = source_on(drive)
    resume = resume_of(source)
    for number in range(100):
        drive.account.file(f"{number}.jpg")
    drive.faults.count()
    assert len(after(source, resume)[0]) == 100
    assert drive.faults.asked == {"files.get": 1, "changes.list": 1, "files.list": 1}


def test_new_and_overwritten_files_are_named_with_their_new_version(drive: DriveServer) -> None:
    account = drive.account
    folder = account.folder("photos")
    old = account.file("old.jpg", folder, b"one")
    account.file("same.jpg", folder)
    source = source_on(drive)
    resume = resume_of(source)
    account.file("new.jpg", account.folder("deep", folder))
    account.write(old, b"two", same_time=True)
    drive.faults.count()
    page = whole(source, resume)
    assert sorted(f.name for f in page.files) == ["photos/deep/new.jpg", "photos/old.jpg"]
    assert not page.removed
    assert sorted(f.name for f in listed(source)) == [
        "photos/deep/new.jpg",
        "photos/old.jpg",
        "photos/same.jpg",
    ]


def test_files_that_went_are_named_whichever_way_they_went(drive: DriveServer) -> None:
    account = drive.account
    folder, elsewhere = account.folder("photos"), account.folder("elsewhere")
    trashed, deleted, moved, hidden, renamed = (
        account.file(f"{n}.jpg", folder) for n in ("t", "d", "m", "h", "r")
    )
    source = source_on(drive, folder)
    resume = resume_of(source)
    account.trash(trashed)
    account.delete(deleted)
    account.move(moved, elsewhere)
    account.hide(hidden)
    account.rename(renamed, "r.txt")
    found, removed, resume = after(source, resume)
    assert found == []
    assert removed == sorted(f"drive://{i}" for i in (trashed, deleted, moved, hidden, renamed))
    account.trash(trashed, trashed=False)
    account.move(moved, folder)
    account.rename(renamed, "again.jpg")
    assert after(source, resume)[:2] == (["again.jpg", "m.jpg", "t.jpg"], [])


@pytest.mark.parametrize("logs_descendants", [False, True])
def test_a_folder_takes_with_it_what_is_in_it(drive: DriveServer, logs_descendants: bool) -> None:
    account = drive.account
    account.logs_descendants = logs_descendants
    photos, elsewhere = account.folder("photos"), account.folder("elsewhere")
    folder = account.folder("trip", photos)
    inside = account.file("a.jpg", account.folder("deep", folder))
    source = source_on(drive, photos)
    resume = resume_of(source)
    account.trash(folder)
    found, removed, resume = after(source, resume)
    assert (found, f"drive://{inside}" in removed) == ([], True)
    account.trash(folder, trashed=False)
    found, _, resume = after(source, resume)
    assert found == ["trip/deep/a.jpg"]
    account.move(folder, elsewhere)
    found, removed, resume = after(source, resume)
    assert (found, f"drive://{inside}" in removed) == ([], True)
    account.move(folder, photos)
    account.rename(folder, "journey")
    assert after(source, resume)[0] == ["journey/deep/a.jpg"]


def test_what_went_without_a_word_is_cleared_up_within_the_hour(
    drive: DriveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = drive.account
    folder = account.folder("trip")
    account.file("a.jpg", folder)
    source = source_on(drive)
    resume = resume_of(source)
    account.delete(folder)
    found, removed, resume = after(source, resume)
    assert (found, removed) == ([], [f"drive://{folder}"])
    assert after(source, resume)[:2] == ([], [])
    earlier = time.time() - 3600
    stale = json.dumps({**json.loads(resume), "listed_at": int(earlier)})
    with pytest.raises(CursorExpiredError, match="everything is listed again"):
        source.scan(stale)
    assert json.loads(resume_of(source))["is_doubtful"] is False


def test_a_target_that_changes_is_seen_through_its_shortcut(drive: DriveServer) -> None:
    account = drive.account
    folder = account.folder("photos")
    target = account.file("original.jpg", content=b"one")
    shortcut = account.shortcut("link.jpg", target, folder)
    source = source_on(drive, folder)
    resume = resume_of(source)
    account.write(target, b"two")
    page = whole(source, resume)
    assert [f.uri for f in page.files] == [f"drive://{shortcut}"]
    assert source.read(page.files[0]) == b"two"
    assert page.resume is not None
    account.trash(target)
    assert f"drive://{shortcut}" in after(source, page.resume)[1]


def test_a_target_that_goes_and_comes_with_its_folder_is_seen_too(drive: DriveServer) -> None:
    account = drive.account
    folder, elsewhere = account.folder("photos"), account.folder("elsewhere")
    target = account.file("original.jpg", account.folder("deep", elsewhere), content=b"one")
    shortcut = account.shortcut("link.jpg", target, folder)
    source = source_on(drive, folder)
    resume = resume_of(source)
    account.trash(elsewhere)
    found, removed, resume = after(source, resume)
    assert (found, f"drive://{shortcut}" in removed) == ([], True)
    account.trash(elsewhere, trashed=False)
    assert after(source, resume)[0] == ["link.jpg"]


def test_shortcuts_to_folders_come_and_go(drive: DriveServer) -> None:
    account = drive.account
    folder, outside = account.folder("photos"), account.folder("outside")
    account.file("a.jpg", outside)
    source = source_on(drive, folder)
    resume = resume_of(source)
    shortcut = account.shortcut("link", outside, folder)
    found, _, resume = after(source, resume)
    assert found == ["link/a.jpg"]
    account.file("b.jpg", account.folder("deep", outside))
    found, _, resume = after(source, resume)
    assert found == ["link/deep/b.jpg"]
    account.trash(shortcut)
    with pytest.raises(CursorExpiredError, match="a shortcut to a folder"):
        source.scan(resume)
    assert listed(source) == []


def test_a_shortcut_may_lead_into_a_shared_drive(drive: DriveServer) -> None:
    account = drive.account
    folder, team = account.folder("photos"), account.shared_drive("Team")
    shoot = account.folder("shoot", team)
    account.file("a.jpg", shoot)
    account.shortcut("team", shoot, folder)
    account.shortcut("b link.jpg", account.file("b.jpg", team, b"one"), folder)
    source = source_on(drive, folder)
    resume = resume_of(source)
    assert [f.name for f in listed(source)] == ["b link.jpg", "team/a.jpg"]
    account.file("c.jpg", account.folder("day 2", shoot))
    assert after(source, resume)[0] == ["team/day 2/c.jpg"]


def test_a_folder_outside_that_cannot_be_listed_is_nobodys_business(drive: DriveServer) -> None:
    account = drive.account
    folder, outside = account.folder("photos"), account.folder("outside")
    source = source_on(drive, folder)
    resume = resume_of(source)
    account.rename(outside, "elsewhere")
    drive.faults.add(Fault("files.list", Refusal(403, "domainPolicy", "No."), times=None))
    page = whole(source, resume)
    assert (page.problems, page.unlisted) == ((), ())


def test_a_shared_drive_has_a_log_of_its_own(drive: DriveServer) -> None:
    account = drive.account
    team = account.shared_drive("Team")
    account.file("a.jpg", team)
    source = source_on(drive, team)
    resume = resume_of(source)
    account.file("b.jpg", team)
    account.file("mine.jpg")
    assert after(source, resume)[:2] == (["b.jpg"], [])


def test_changes_made_during_the_first_pass_are_in_it(drive: DriveServer) -> None:
    account = drive.account
    early, late = sorted(account.folder(f"f{n}") for n in range(2))
    moved = account.file("moved.jpg", late)
    account.file("b.jpg", late)
    gone = account.file("gone.jpg", early)

    def meanwhile() -> None:
        account.move(moved, early)
        account.trash(gone)
        account.file("new.jpg", early)

    drive.faults.add(Fault("files.list", how="hold", about=f"'{late}'", meanwhile=meanwhile))
    source = source_on(drive, connections=1)
    page = whole(source)
    assert sorted(f.name.rpartition("/")[2] for f in page.files) == [
        "b.jpg",
        "moved.jpg",
        "new.jpg",
    ]
    assert page.removed == (f"drive://{gone}",)


def test_long_logs_come_in_pages_and_each_page_can_be_the_last_of_a_call(
    drive: DriveServer,
) -> None:
    account = drive.account
    source = source_on(drive, page_files=1)
    resume = resume_of(source)
    folders = [account.folder(f"f{n}") for n in range(3)]
    for number in range(9):
        account.file(f"{number}.jpg", folders[number % 3])
    drive.operations.largest_page = 2
    found: list[ScanPage] = pages(source, resume)
    assert len({f.uri for p in found for f in p.files}) == 9
    assert len(found) > 4
    assert all(len(p.cursor or "") < 500 for p in found)


@pytest.mark.parametrize("how", ["410", "400", "garbage"])
def test_an_expired_token_asks_for_everything_once_more(drive: DriveServer, how: str) -> None:
    for number in range(3):
        drive.account.file(f"{number}.jpg", drive.account.folder(f"f{number}"))
    source = source_on(drive)
    resume = resume_of(source)
    if how == "410":
        drive.account.expire_tokens()
    elif how == "400":
        drive.faults.add(Fault("changes.list", invalid("pageToken")))
    else:
        resume = json.dumps({**json.loads(resume), "token": "no number"})
    with pytest.raises(CursorExpiredError, match="page token"):
        source.scan(resume)
    assert len(listed(source)) == 3


def test_a_token_of_a_listing_that_expires_costs_one_folder(drive: DriveServer) -> None:
    for number in range(6):
        drive.account.file(f"{number}.jpg", drive.account.folder("f"))
        drive.account.file(f"top{number}.jpg")
    drive.operations.largest_page = 2
    source = source_on(drive)
    drive.faults.add(Fault("files.list", invalid("pageToken"), about="pageToken"))
    assert len(listed(source)) == 12


def test_a_cursor_of_another_folder_or_none_at_all_is_refused(drive: DriveServer) -> None:
    folder = drive.account.folder("photos")
    resume = resume_of(source_on(drive, folder))
    for cursor in (resume.replace(folder, "1other"), "no json", "{}", "[]", '{"format":99}'):
        with pytest.raises(CursorExpiredError):
            source_on(drive, folder).scan(cursor)


def test_other_rules_have_everything_listed_again(drive: DriveServer) -> None:
    drive.account.file("plan.pdf")
    drive.account.file("a.jpg")
    resume = resume_of(source_on(drive))
    for more in ({"documents": ["pdf"]}, {"exclude": ["a*"]}, {"recursive": False}):
        with pytest.raises(CursorExpiredError, match="another folder or configuration"):
            source_on(drive, **more).scan(resume)
    assert after(source_on(drive, connections=1, relist_seconds=None), resume)[:2] == ([], [])


def test_many_folders_that_change_at_once_are_listed_as_a_whole(drive: DriveServer) -> None:
    source = source_on(drive)
    resume = resume_of(source)
    for number in range(101):
        drive.account.folder(f"f{number}")
    with pytest.raises(CursorExpiredError, match="101 folders changed"):
        source.scan(resume)


def test_a_root_that_goes_is_an_error_and_no_empty_source(drive: DriveServer) -> None:
    folder = drive.account.folder("photos")
    drive.account.file("a.jpg", folder)
    source = source_on(drive, folder)
    resume = resume_of(source)
    drive.account.trash(folder)
    with pytest.raises(SourceError, match="in the trash"):
        source.scan(resume)
    drive.account.trash(folder, trashed=False)
    assert after(source, resume)[1] == []
