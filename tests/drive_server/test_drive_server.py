"""The Drive server, asked by Google's own client library: it answers, and refuses, as the documentation says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.api_core.client_options import ClientOptions
from google.oauth2 import service_account
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from .faults import Fault
from .fixtures import drive
from .grants import READONLY
from .items import DOCUMENT, FOLDER, PDF, ROOT, SHORTCUT
from .refusals import limited
from .server import DriveServer

__all__ = ["drive"]


@pytest.fixture
def google(drive: DriveServer) -> Any:
    """Google's client of the server."""
    credentials = service_account.Credentials.from_service_account_info(
        drive.grants.service_account(drive.url), scopes=[READONLY]
    )
    options = ClientOptions(api_endpoint=drive.api_endpoint)
    return discovery.build(
        "drive", "v3", credentials=credentials, client_options=options, static_discovery=True
    )


def found(google: Any, q: str, **more: Any) -> list[str]:
    return [f["name"] for f in google.files().list(q=q, **more).execute()["files"]]


def refused(request: Any) -> tuple[int, str, str]:
    with pytest.raises(HttpError) as caught:
        request.execute()
    error = json.loads(caught.value.content)["error"]
    first = error["errors"][0]
    assert error["code"] == caught.value.resp.status
    return error["code"], first["reason"], first.get("location", "")


def test_queries_choose_entries(drive: DriveServer, google: Any) -> None:
    account = drive.account
    folder = account.folder("photos")
    target = account.file("it's.jpg", folder)
    account.file("gone.jpg", folder)
    account.trash(account.file("trashed.jpg", folder))
    account.shortcut("link", target)
    inside = f"'{folder}' in parents"
    assert found(google, inside) == ["it's.jpg", "gone.jpg", "trashed.jpg"]
    assert found(google, f"{inside} and trashed = false") == ["it's.jpg", "gone.jpg"]
    assert found(google, f"{inside} and not name = 'gone.jpg' and trashed=false") == ["it's.jpg"]
    assert found(google, "name = 'it\\'s.jpg'") == ["it's.jpg"]
    assert found(google, f"mimeType = '{FOLDER}' and 'root' in parents") == ["photos"]
    assert found(google, f"'{ROOT}' in parents and mimeType != '{FOLDER}'") == ["link"]
    assert found(google, f"shortcutDetails.targetId = '{target}'") == ["link"]
    assert found(google, f"(name='link' or name='photos') and mimeType='{SHORTCUT}'") == ["link"]
    for wrong in ("name", "name =", "(name = 'a'", "size > 3", "trashed = maybe", "'a' in owners"):
        assert refused(google.files().list(q=wrong)) == (400, "invalid", "q")


def test_pages_follow_one_another_and_their_tokens_belong_to_the_query(
    drive: DriveServer, google: Any
) -> None:
    for number in range(5):
        drive.account.file(f"{number}.jpg")
    names: list[str] = []
    request = google.files().list(pageSize=2, q="trashed = false")
    while request is not None:
        answer = request.execute()
        names += [f["name"] for f in answer["files"]]
        drive.account.file("late.txt") if len(names) == 4 else None
        request = google.files().list_next(request, answer)
    assert names == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "late.txt"]
    token = google.files().list(pageSize=1, q="trashed = false").execute()["nextPageToken"]
    other = google.files().list(q="trashed = true", pageToken=token)
    assert refused(other) == (400, "invalid", "pageToken")


def test_only_the_fields_that_are_asked_for_are_sent(drive: DriveServer, google: Any) -> None:
    file_id = drive.account.file("a.jpg", content=b"x")
    files = google.files()
    assert set(files.get(fileId=file_id).execute()) == {"kind", "id", "name", "mimeType"}
    some = files.get(fileId=file_id, fields="size,capabilities/canDownload").execute()
    assert some == {"size": "1", "capabilities": {"canDownload": True}}
    listed = files.list(fields="files(id,md5Checksum)").execute()
    assert listed == {"files": [{"id": file_id, "md5Checksum": "9dd4e461268c8034f5c8564e155c67a6"}]}
    assert "sha256Checksum" in files.get(fileId=file_id, fields="*").execute()
    for wrong in ("nonsense", "id,,name", "files(id"):
        assert refused(files.get(fileId=file_id, fields=wrong))[1:] == (
            "invalidParameter",
            "fields",
        )


def test_shared_drives_are_there_for_those_who_say_that_they_know_them(
    drive: DriveServer, google: Any
) -> None:
    team = drive.account.shared_drive("Team")
    file_id = drive.account.file("a.jpg", team)
    files, both = google.files(), {"supportsAllDrives": True, "includeItemsFromAllDrives": True}
    assert refused(files.get(fileId=file_id)) == (404, "notFound", "fileId")
    assert files.get(fileId=file_id, supportsAllDrives=True).execute()["name"] == "a.jpg"
    assert found(google, "trashed = false") == []
    assert found(google, "", corpora="drive", driveId=team, **both) == ["a.jpg"]
    assert found(google, "", corpora="allDrives", **both) == ["a.jpg"]
    assert refused(files.list(corpora="drive", driveId=team))[0] == 403
    assert refused(files.list(corpora="drive", **both))[0] == 400
    assert refused(files.list(corpora="drive", driveId="0Anone", **both))[0] == 404


def test_bytes_ranges_and_exports(drive: DriveServer, google: Any) -> None:
    account, files = drive.account, google.files()
    file_id = account.file("a.jpg", content=b"0123456789")
    document = account.document("Plan", exports={PDF: b"%PDF"})
    assert files.get_media(fileId=file_id).execute() == b"0123456789"
    request = files.get_media(fileId=file_id)
    request.headers["range"] = "bytes=2-4"
    assert request.execute() == b"234"
    assert files.export_media(fileId=document, mimeType=PDF).execute() == b"%PDF"
    assert refused(files.get_media(fileId=document))[1] == "fileNotDownloadable"
    assert refused(files.export_media(fileId=file_id, mimeType=PDF))[1] == "fileNotExportable"
    assert refused(files.export_media(fileId=document, mimeType="a/b")) == (400, "badRequest", "")
    account.edit(document, {PDF: bytes(10 * 2**20 + 1)})
    large = files.export_media(fileId=document, mimeType=PDF)
    assert refused(large)[1] == "exportSizeLimitExceeded"
    account.abuse(file_id)
    assert refused(files.get_media(fileId=file_id))[1] == "cannotDownloadAbusiveFile"
    assert files.get_media(fileId=file_id, acknowledgeAbuse=True).execute() == b"0123456789"


def test_changes_name_each_file_once_in_its_latest_state(drive: DriveServer, google: Any) -> None:
    account, changes = drive.account, google.changes()
    kept, gone = account.file("a.jpg"), account.file("b.jpg")
    token = changes.getStartPageToken().execute()["startPageToken"]
    assert changes.list(pageToken=token).execute()["changes"] == []
    account.write(kept, b"one")
    account.rename(kept, "c.jpg")
    account.delete(gone)
    new = account.document("Plan", mime_type=DOCUMENT)
    first = changes.list(pageToken=token, pageSize=2).execute()
    assert [(c["fileId"], c["removed"]) for c in first["changes"]] == [(kept, False), (gone, True)]
    assert first["changes"][0]["file"]["name"] == "c.jpg"
    assert "newStartPageToken" not in first
    second = changes.list(pageToken=first["nextPageToken"]).execute()
    assert [c["fileId"] for c in second["changes"]] == [new]
    assert changes.list(pageToken=second["newStartPageToken"]).execute()["changes"] == []
    account.expire_tokens()
    assert refused(changes.list(pageToken=token)) == (410, "gone", "pageToken")
    assert refused(changes.list(pageToken="x")) == (400, "invalid", "pageToken")


def test_nothing_is_told_to_those_without_a_token(drive: DriveServer, google: Any) -> None:
    drive.account.file("a.jpg")
    assert found(google, "") == ["a.jpg"]
    drive.grants.forget_access_tokens()
    assert found(google, "") == ["a.jpg"]
    assert drive.faults.asked["token"] == 2
    import httplib2

    answer, body = httplib2.Http().request(drive.api_endpoint + "files")
    assert (answer.status, json.loads(body)["error"]["errors"][0]["reason"]) == (401, "authError")


def test_faults_hit_the_requests_they_are_meant_for(drive: DriveServer, google: Any) -> None:
    drive.faults.add(Fault("files.list", limited(), after=1, times=2))
    files = google.files()
    assert files.list().execute()["files"] == []
    assert refused(files.list())[:2] == (403, "userRateLimitExceeded")
    assert files.get(fileId="root").execute()["name"] == "My Drive"
    assert refused(files.list())[0] == 403
    assert files.list().execute()["files"] == []
