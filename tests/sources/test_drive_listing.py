"""A folder of Google Drive as a source: which files it lists, under which names and versions."""

from __future__ import annotations

import hashlib
import json

import pytest
from drive_server.fixtures import drive, listed, names, pages, problems, source_on, whole
from drive_server.items import ROOT, SLIDES
from drive_server.server import DriveServer

from aion_dagster.errors import SourceError
from aion_dagster.values import Loss

__all__ = ["drive"]


def test_possible_pictures_of_all_folders_are_listed_by_their_path(drive: DriveServer) -> None:
    account = drive.account
    photos = account.folder("photos")
    trip = account.folder("trip", account.folder("2026", photos))
    account.file("top.jpg", photos)
    account.file("a.jpg", trip)
    account.file("notes.txt", trip)
    account.file("labels.json", photos)
    account.file(".hidden.jpg", photos)
    account.file("elsewhere.jpg")
    assert names(source_on(drive, photos)) == ["2026/trip/a.jpg", "top.jpg"]
    assert names(source_on(drive, photos, recursive=False)) == ["top.jpg"]
    assert names(source_on(drive)) == ["elsewhere.jpg", "photos/2026/trip/a.jpg", "photos/top.jpg"]
    assert ".hidden.jpg" in names(source_on(drive, photos, include_hidden=True))


def test_patterns_choose_names_and_whole_folders(drive: DriveServer) -> None:
    account = drive.account
    raw = account.folder("raw")
    account.file("x.jpg", raw)
    account.file("x.txt", raw)
    thumbs = account.folder("thumbs")
    account.file("y.jpg", account.folder("small", thumbs))
    assert names(source_on(drive, exclude=["thumbs"])) == ["raw/x.jpg"]
    assert ("files.get", thumbs) not in drive.asked_about
    assert names(source_on(drive, include=["raw/*"])) == ["raw/x.jpg", "raw/x.txt"]


def test_a_reference_says_what_and_where(drive: DriveServer) -> None:
    file_id = drive.account.file("a.jpg", content=b"12345")
    (ref,) = listed(source_on(drive))
    assert (ref.source, ref.uri, ref.name, ref.size_bytes) == (
        "drive",
        f"drive://{file_id}",
        "a.jpg",
        5,
    )
    assert ref.version == "md5-" + hashlib.md5(b"12345").hexdigest()
    assert ref.modified_at.isoformat() == "2026-01-01T00:00:00.100000+00:00"


def test_equal_names_in_one_folder_are_different_files(drive: DriveServer) -> None:
    ids = {drive.account.file("a.jpg", content=bytes([n])) for n in range(3)}
    folder = [drive.account.folder("twice") for _ in range(2)]
    ids |= {drive.account.file("b.jpg", f) for f in folder}
    refs = listed(source_on(drive))
    assert {r.uri for r in refs} == {f"drive://{i}" for i in ids}
    assert [r.name for r in refs] == ["a.jpg"] * 3 + ["twice/b.jpg"] * 2


def test_any_name_becomes_a_path_that_stays_inside(drive: DriveServer) -> None:
    folder = drive.account.folder("..")
    drive.account.file("../../etc/passwd.jpg", folder)
    drive.account.file("a\nb.jpg", folder)
    unnamed = drive.account.file("", folder)
    source = source_on(drive, include_hidden=True)
    assert names(source) == sorted(
        [f"．．/{unnamed}", "．．/a\nb.jpg", "．．/..／..／etc／passwd.jpg"]
    )


def test_files_in_the_trash_are_left_out(drive: DriveServer) -> None:
    account = drive.account
    account.trash(account.file("gone.jpg"))
    folder = account.folder("old")
    account.file("inside.jpg", account.folder("deep", folder))
    account.trash(folder)
    account.file("here.jpg")
    assert names(source_on(drive)) == ["here.jpg"]


def test_a_shared_drive_is_listed_by_its_id_and_its_folders_too(drive: DriveServer) -> None:
    account = drive.account
    team = account.shared_drive("Team")
    folder = account.folder("shoot", team)
    account.file("a.jpg", folder)
    account.file("b.jpg", team)
    account.file("mine.jpg")
    assert names(source_on(drive, team)) == ["b.jpg", "shoot/a.jpg"]
    assert names(source_on(drive, folder)) == ["a.jpg"]
    assert names(source_on(drive)) == ["mine.jpg"]


def test_shortcuts_to_files_have_the_content_of_their_target(drive: DriveServer) -> None:
    account = drive.account
    folder = account.folder("photos")
    target = account.file("original.jpg", content=b"pixels")
    shortcut = account.shortcut("link.jpg", target, folder)
    (ref,) = listed(source_on(drive, folder))
    assert (ref.uri, ref.name, ref.size_bytes) == (f"drive://{shortcut}", "link.jpg", 6)
    assert ref.version == f"md5-{hashlib.md5(b'pixels').hexdigest()}@{target}"
    assert source_on(drive, folder).read(ref) == b"pixels"


def test_shortcuts_to_nothing_are_reported(drive: DriveServer) -> None:
    account = drive.account
    folder = account.folder("photos")
    deleted, trashed = account.file("a.jpg"), account.file("b.jpg")
    account.shortcut("to deleted.jpg", deleted, folder)
    account.shortcut("to trashed.jpg", trashed, folder)
    account.delete(deleted)
    account.trash(trashed)
    source = source_on(drive, folder)
    assert names(source) == []
    assert problems(source) == [
        Loss(
            "missing",
            "to deleted.jpg",
            "a shortcut to nothing, or to something that is not shared",
        ),
        Loss("missing", "to trashed.jpg", "a shortcut to something in the trash"),
    ]


def test_a_shortcut_that_cannot_be_looked_at_is_not_taken_for_deleted(drive: DriveServer) -> None:
    from drive_server.faults import Fault
    from drive_server.refusals import Refusal

    account = drive.account
    target = account.file("a.jpg")
    shortcut = account.shortcut("link.jpg", target, account.folder("photos"))
    refusal = Refusal(403, "insufficientFilePermissions", "No.")
    drive.faults.add(Fault("files.get", refusal, about=target, times=None))
    page = whole(source_on(drive))
    assert page.present == (f"drive://{shortcut}",)
    assert "may not read it" in page.problems[0].detail


def test_shortcuts_to_folders_outside_are_followed_once(drive: DriveServer) -> None:
    account = drive.account
    folder = account.folder("photos")
    outside = account.folder("outside")
    account.file("far.jpg", account.folder("deep", outside))
    account.shortcut("first", outside, folder)
    account.shortcut("second", outside, account.folder("below", folder))
    source = source_on(drive, folder)
    assert names(source) == ["first/deep/far.jpg"]
    assert [p.kind for p in problems(source)] == ["deduplicated"]
    assert names(source_on(drive, folder, exclude=["first", "second"])) == []


def test_shortcuts_that_lead_back_come_to_an_end(drive: DriveServer) -> None:
    account = drive.account
    top = account.folder("top")
    folder = account.folder("photos", top)
    inner = account.folder("inner", folder)
    account.file("a.jpg", inner)
    left, right = account.folder("left"), account.folder("right")
    account.file("l.jpg", left)
    account.file("r.jpg", right)
    for name, target, place in [
        ("to itself", folder, inner), ("to what is above", top, inner), ("to inner", inner, folder),
        ("to left", left, folder), ("to right", right, left), ("back to left", left, right),
        ("back to photos", folder, right),
    ]:  # fmt: skip
        account.shortcut(name, target, place)
    source = source_on(drive, folder)
    assert names(source) == ["inner/a.jpg", "to left/l.jpg", "to left/to right/r.jpg"]
    assert sorted(p.kind for p in problems(source)) == ["deduplicated"] * 4 + ["dropped"]


@pytest.mark.parametrize(
    ("documents", "export", "expected"),
    [
        ((), "auto", []),
        (("pdf",), "auto", ["Plan.pdf", "Talk.pdf"]),
        (("docx",), "auto", ["Plan.docx"]),
        (("pdf", "docx"), "auto", ["Plan.pdf", "Talk.pdf"]),
        (("pdf", "docx"), "docx", ["Plan.docx", "Talk.pdf"]),
        (("pdf", "docx"), "none", []),
        (("txt",), "auto", []),
    ],
)  # fmt: skip
def test_google_documents_are_listed_in_the_formats_that_are_taken(
    drive: DriveServer, documents: tuple[str, ...], export: str, expected: list[str]
) -> None:
    drive.account.document("Plan")
    drive.account.document("Talk", mime_type=SLIDES, exports={"application/pdf": b"%PDF slides"})
    drive.account.file("form", mime_type="application/vnd.google-apps.form")
    assert names(source_on(drive, documents=documents, export=export)) == expected


def test_a_document_gets_another_version_with_every_edit_and_format(drive: DriveServer) -> None:
    document = drive.account.document("Plan")
    before = listed(source_on(drive, documents=["pdf"]))[0].version
    assert listed(source_on(drive, documents=["docx"]))[0].version != before
    drive.account.edit(document, {"application/pdf": b"%PDF new"})
    assert listed(source_on(drive, documents=["pdf"]))[0].version != before


def test_small_pages_give_the_same_files_in_the_same_order(drive: DriveServer) -> None:
    account = drive.account
    for outer in range(2):
        folder = account.folder(f"f{outer}")
        for inner in range(2):
            deeper = account.folder(f"g{inner}", folder)
            for number in range(3):
                account.file(f"{number}.jpg", deeper)
    expected = [f for p in pages(source_on(drive)) for f in p.files]
    drive.operations.largest_page = 2
    found = pages(source_on(drive, page_files=1))
    assert [f for p in found for f in p.files] == expected
    assert len(expected) == 12
    assert max(len(p.cursor or "") for p in found) < 600
    assert found[-1].cursor is None
    assert found[-1].resume is not None


def test_every_page_makes_progress_even_when_it_is_late(drive: DriveServer) -> None:
    folder = drive.account.folder("f")
    for number in range(7):
        drive.account.file(f"{number}.jpg", drive.account.folder(f"g{number}", folder))
    found = pages(source_on(drive), deadline=0.0)
    assert sorted(f.name for p in found for f in p.files) == [f"f/g{n}/{n}.jpg" for n in range(7)]
    assert len(found) > 5


def test_a_folder_that_is_missing_trashed_or_a_file_is_said(drive: DriveServer) -> None:
    account = drive.account
    with pytest.raises(SourceError, match=r"no folder 1nowhere that reader@aion-test.*can see"):
        source_on(drive, "1nowhere").check()
    folder = account.folder("old")
    account.trash(folder)
    with pytest.raises(SourceError, match=r"'old'.* is in the trash"):
        source_on(drive, folder).scan()
    with pytest.raises(SourceError, match="is no folder"):
        source_on(drive, account.file("a.jpg")).check()
    with pytest.raises(SourceError, match="is no id of Google Drive"):
        source_on(drive, "x' or '1").scan()
    source_on(drive, ROOT).check()


def test_a_root_that_goes_amid_a_pass_is_no_empty_root(drive: DriveServer) -> None:
    from drive_server.faults import Fault

    folder = drive.account.folder("photos")
    drive.account.file("a.jpg", drive.account.folder("deep", folder))
    drive.faults.add(
        Fault("files.list", how="hold", meanwhile=lambda: drive.account.delete(folder))
    )
    source = source_on(drive, folder)
    with pytest.raises(SourceError, match="no folder"):
        pages(source)


def test_a_folder_that_cannot_be_listed_is_reported_and_nothing_taken_for_deleted(
    drive: DriveServer,
) -> None:
    from drive_server.faults import Fault
    from drive_server.refusals import Refusal

    folder = drive.account.folder("secret")
    drive.account.file("a.jpg", folder)
    drive.account.file("b.jpg")
    refusal = Refusal(403, "domainPolicy", "No.")
    drive.faults.add(Fault("files.list", refusal, about=f"'{folder}'", times=None))
    page = whole(source_on(drive))
    assert [f.name for f in page.files] == ["b.jpg"]
    assert page.unlisted == ("drive://",)
    assert page.problems[0].subject == "secret/"


def test_the_cursor_is_plain_text_without_secrets(drive: DriveServer) -> None:
    drive.account.file("a.jpg")
    resume = whole(source_on(drive)).resume
    assert resume is not None
    assert set(json.loads(resume)) == {
        "format", "folder", "rules", "token", "listed_at", "waiting", "place", "followed", "is_caught_up", "is_doubtful",
    }  # fmt: skip
    assert not any(token in resume for token in drive.grants.given)
