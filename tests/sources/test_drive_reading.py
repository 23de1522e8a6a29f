"""Files of Google Drive read: exactly the listed version, or the reason why not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drive_server.faults import Fault
from drive_server.fixtures import drive, listed, source_on
from drive_server.items import DOCX, PDF
from drive_server.refusals import broken, limited
from drive_server.server import DriveServer

import aion_dagster.sources.drive_api
from aion_dagster.errors import (
    FileChangedError,
    FileTooLargeError,
    FileVanishedError,
    SourceError,
    SourceUnavailableError,
)

__all__ = ["drive"]


def test_bytes_are_read_with_one_request(drive: DriveServer) -> None:
    drive.account.file("a.jpg", content=b"pixels" * 1000)
    source = source_on(drive)
    (ref,) = listed(source)
    drive.faults.count()
    assert source.read(ref) == b"pixels" * 1000
    assert drive.faults.asked == {"files.download": 1}
    assert source.local_path(ref) is None


def test_an_empty_file_is_read(drive: DriveServer) -> None:
    drive.account.file("a.jpg")
    source = source_on(drive)
    assert source.read(listed(source)[0]) == b""


def test_large_files_are_read_piece_by_piece_through_failures(
    drive: DriveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aion_dagster.sources.drive_api, "PIECE_BYTES", 1000)
    content = bytes(range(256)) * 20
    drive.account.file("a.jpg", content=content)
    source = source_on(drive)
    (ref,) = listed(source)
    drive.faults.add(Fault("files.download", broken(503), after=1, times=2))
    drive.faults.add(Fault("files.download", how="cut", after=3, times=1))
    drive.faults.add(Fault("files.download", limited(), after=4, times=1))
    assert source.read(ref) == content
    assert drive.faults.asked["files.download"] == 6 + 4


def test_a_file_that_changed_is_not_read_as_the_old_version(drive: DriveServer) -> None:
    account = drive.account
    ids = [account.file(f"{n}.jpg", content=b"pixels") for n in range(3)]
    source = source_on(drive)
    same, longer, empty = listed(source)
    assert [r.uri[8:] for r in (same, longer, empty)] == ids
    account.write(ids[0], b"PIXELS", same_time=True)
    account.write(ids[1], b"pixels and more than these")
    account.write(ids[2], b"")
    for ref in (same, longer, empty):
        with pytest.raises(FileChangedError, match="changed after it was listed"):
            source.read(ref)


def test_a_file_that_is_gone_is_said_to_be(drive: DriveServer) -> None:
    file_id = drive.account.file("a.jpg", content=b"x")
    empty = drive.account.file("b.jpg")
    source = source_on(drive)
    refs = listed(source)
    drive.account.delete(file_id)
    drive.account.hide(empty)
    for ref in refs:
        with pytest.raises(FileVanishedError, match="gone, or not shared"):
            source.read(ref)


def test_bytes_that_do_not_fit_their_checksum_are_refused(drive: DriveServer) -> None:
    drive.account.file("a.jpg", content=b"pixels")
    source = source_on(drive)
    (ref,) = listed(source)
    drive.faults.add(Fault("files.download", how="garbage"))
    with pytest.raises(SourceError, match="other bytes than their checksum"):
        source.read(ref)


def test_files_larger_than_allowed_are_not_asked_for(drive: DriveServer) -> None:
    drive.account.file("a.jpg", content=b"x" * 11)
    source = source_on(drive, max_bytes=10)
    (ref,) = listed(source)
    drive.faults.count()
    with pytest.raises(FileTooLargeError, match=r"a\.jpg: 11 bytes, 10 are allowed"):
        source.read(ref)
    assert drive.requests == 0


def test_what_google_takes_for_malware_has_a_reason(drive: DriveServer) -> None:
    file_id = drive.account.file("a.jpg", content=b"x")
    drive.account.abuse(file_id)
    source = source_on(drive)
    with pytest.raises(SourceError, match=r"a\.jpg: Google takes the file for malware or spam"):
        source.read(listed(source)[0])
    assert drive.asked_about.count(("files.download", file_id)) == 1


@pytest.mark.parametrize(("wanted", "mime_type"), [("pdf", PDF), ("docx", DOCX)])
def test_documents_are_read_in_the_format_they_were_listed_in(
    drive: DriveServer, wanted: str, mime_type: str
) -> None:
    drive.account.document("Plan", exports={PDF: b"%PDF", DOCX: b"PK"})
    (ref,) = listed(source_on(drive, documents=[wanted]))
    # A reader knows nothing of the formats that are taken; the version says which it was.
    assert source_on(drive).read(ref) == {PDF: b"%PDF", DOCX: b"PK"}[mime_type]


def test_a_document_that_was_edited_is_another_version(drive: DriveServer) -> None:
    document = drive.account.document("Plan")
    source = source_on(drive, documents=["pdf"])
    (ref,) = listed(source)
    drive.faults.add(
        Fault(
            "files.export",
            how="hold",
            meanwhile=lambda: drive.account.edit(document, {PDF: b"%PDF new"}),
        )
    )
    with pytest.raises(FileChangedError):
        source.read(ref)
    (new,) = listed(source)
    assert source.read(new) == b"%PDF new"


def test_documents_beyond_what_google_exports_have_a_reason(drive: DriveServer) -> None:
    drive.account.document("Plan", exports={PDF: bytes(10 * 2**20 + 1)})
    drive.account.document("Small", exports={PDF: b"%PDF" * 10})
    source = source_on(drive, documents=["pdf"])
    large, small = listed(source)
    with pytest.raises(FileTooLargeError, match=r"Plan\.pdf: Google exports documents up to 10 MB"):
        source.read(large)
    with pytest.raises(FileTooLargeError, match="40 bytes as pdf, 16 are allowed"):
        source_on(drive, max_bytes=16).read(small)


def test_shortcuts_are_read_without_asking_for_them(drive: DriveServer) -> None:
    account = drive.account
    target = account.file("a.jpg", content=b"pixels")
    document = account.document("Plan", exports={PDF: b"%PDF"})
    folder = account.folder("photos")
    account.shortcut("a link.jpg", target, folder)
    account.shortcut("plan link", document, folder)
    source = source_on(drive, folder, documents=["pdf"])
    picture, plan = listed(source)
    assert (picture.name, plan.name) == ("a link.jpg", "plan link.pdf")
    assert (source.read(picture), source.read(plan)) == (b"pixels", b"%PDF")


def test_a_failure_of_one_file_is_told_from_an_outage(drive: DriveServer) -> None:
    drive.account.file("a.jpg", content=b"pixels")
    source = source_on(drive, attempts=2)
    (ref,) = listed(source)
    drive.faults.add(Fault("files.download", broken(500), times=None))
    with pytest.raises(SourceError, match=r"a\.jpg: Google Drive fails .500") as caught:
        source.read(ref)
    assert not isinstance(caught.value, SourceUnavailableError)
    drive.faults.add(Fault("*", broken(500), times=None))
    with pytest.raises(SourceUnavailableError):
        source.read(ref)
    drive.faults.clear()
    drive.faults.add(Fault("files.download", limited(), times=None))
    with pytest.raises(SourceUnavailableError, match="limits the rate"):
        source.read(ref)


def test_references_of_another_source_are_refused(drive: DriveServer) -> None:
    drive.account.file("a.jpg", content=b"x")
    source = source_on(drive)
    (ref,) = listed(source)
    with pytest.raises(SourceError, match="is no file of Google Drive"):
        source.read(replace(ref, uri="file:///etc/passwd"))
    with pytest.raises(SourceError, match="is no id of Google Drive"):
        source.read(replace(ref, uri="drive://../../x"))
