"""Google Drive that limits, fails and refuses: patience where that helps, a clear word where it does not."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from drive_server.faults import Fault
from drive_server.fixtures import Seen, drive, listed, pages, source_on, whole
from drive_server.refusals import Refusal, broken, limited
from drive_server.server import DriveServer

from aion_dagster.errors import CredentialsError, SourceError, UnavailableError
from aion_dagster.sources.drive_access import DriveAccess

__all__ = ["drive"]


@pytest.fixture
def pictures(drive: DriveServer) -> DriveServer:
    """Twelve pictures in four folders."""
    for folder in range(4):
        inside = drive.account.folder(f"f{folder}")
        for number in range(3):
            drive.account.file(f"{number}.jpg", inside, content=b"pixels")
    return drive


@pytest.mark.parametrize(
    "fault",
    [
        Fault("*", limited("userRateLimitExceeded"), after=2, times=5),
        Fault("*", limited("rateLimitExceeded"), after=1, times=5),
        Fault("*", limited("rateLimitExceeded", 429), after=3, times=5),
        Fault("*", limited("rateLimitExceeded", 429, Retry_After="0"), after=1, times=2),
        Fault("*", broken(500), after=2, times=5),
        Fault("*", broken(503), after=2, times=5),
        Fault("*", how="reset", after=2, times=3),
        Fault("*", how="cut", after=2, times=3),
        Fault("*", how="garbage", after=2, times=3),
        Fault("token", broken(500)),
    ],
    ids=lambda f: f"{f.method}-{f.how}-{f.refusal or ''}",
)
def test_what_passes_is_waited_for(pictures: DriveServer, fault: Fault) -> None:
    pictures.faults.add(fault)
    found = listed(source_on(pictures))
    assert len(found) == 12
    assert fault.hit == fault.times


def test_google_says_how_long_to_wait(pictures: DriveServer) -> None:
    pictures.faults.add(Fault("files.list", limited(status=429, Retry_After="0.3")))
    began = time.monotonic()
    assert len(listed(source_on(pictures))) == 12
    assert time.monotonic() - began >= 0.3


def test_no_wait_goes_beyond_the_deadline_and_nothing_is_lost(pictures: DriveServer) -> None:
    source = source_on(pictures, connections=1)
    refusal = limited(Retry_After="3600")
    fault = pictures.faults.add(Fault("files.list", refusal, after=3, times=None))
    page = source.scan(deadline=time.monotonic() + 10)
    assert 0 < len(page.files) < 12
    assert page.cursor is not None
    with pytest.raises(SourceError, match=r"limits the rate of requests .*userRateLimitExceeded"):
        source.scan(page.cursor, deadline=time.monotonic() + 10)
    assert fault.hit == 2
    pictures.faults.clear()
    rest = pages(source, page.cursor)
    assert len({f.uri for p in (page, *rest) for f in p.files}) == 12


def test_what_does_not_pass_is_said_after_some_tries(pictures: DriveServer) -> None:
    fault = pictures.faults.add(Fault("files.list", broken(500), times=None))
    with pytest.raises(SourceError, match=r"Google Drive fails .500 internalError"):
        source_on(pictures, attempts=4, connections=1).scan()
    assert fault.hit == 4


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(403, "dailyLimitExceeded", "Daily Limit Exceeded"), "of this day are used up"),
        (Refusal(403, "accessNotConfigured", "Not configured"), "API is not enabled"),
        (Refusal(403, "insufficientPermissions", "Insufficient"), "scope drive.readonly"),
        (Refusal(400, "badRequest", "Bad."), "refuses .400 badRequest Bad"),
    ],
)
def test_what_will_not_pass_is_said_at_once(
    pictures: DriveServer, refusal: Refusal, words: str
) -> None:
    fault = pictures.faults.add(Fault("files.get", refusal, times=None))
    with pytest.raises(SourceError, match=words):
        source_on(pictures).scan()
    assert fault.hit == 1


def test_revoked_credentials_are_said_and_the_scan_goes_on_from_its_cursor(
    pictures: DriveServer,
) -> None:
    source = source_on(pictures, page_files=1, connections=1)
    page = source.scan()
    pictures.grants.revoke()
    with pytest.raises(CredentialsError) as caught:
        source.scan(page.cursor)
    assert "invalid_grant: Token has been expired or revoked" in str(caught.value)
    assert "reader@aion-test.iam.gserviceaccount.com" in str(caught.value)
    with pytest.raises(CredentialsError):
        source_on(pictures).scan(page.cursor)
    pictures.grants.restore()
    rest = pages(source_on(pictures), page.cursor)
    found = [f.uri for p in (page, *rest) for f in p.files]
    assert len(found) == len(set(found)) == 12


def test_credentials_revoked_amid_changes_lose_none(pictures: DriveServer) -> None:
    source = source_on(pictures)
    seen = Seen()
    first = whole(source)
    seen.begin(lists_all=True)
    seen.apply(first)
    pictures.account.file("new.jpg")
    pictures.grants.revoke()
    with pytest.raises(CredentialsError):
        source.scan(first.resume)
    pictures.grants.restore()
    seen.begin(lists_all=False)
    seen.apply(whole(source, first.resume))
    assert len(seen.files) == 13


def test_an_access_token_that_ran_out_is_renewed(pictures: DriveServer) -> None:
    source = source_on(pictures)
    refs = listed(source)
    pictures.grants.forget_access_tokens()
    assert source.read(refs[0]) == b"pixels"
    assert len(listed(source)) == 12


def test_side_by_side_requests_share_one_token(pictures: DriveServer) -> None:
    listed(source_on(pictures, connections=8))
    assert pictures.faults.asked["token"] == 1


def test_a_person_and_an_impersonated_person_can_be_asked_for(
    pictures: DriveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grants = pictures.grants
    consent = json.dumps(grants.authorized_user(pictures.url))
    (tmp_path / "consent.json").write_text(consent)
    monkeypatch.setenv("DRIVE_JSON", consent)
    monkeypatch.setenv("DRIVE_PATH", str(tmp_path / "consent.json"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", pictures.key)
    for access in (
        DriveAccess(file=str(tmp_path / "consent.json")),
        DriveAccess(variable="DRIVE_JSON"),
        DriveAccess(variable="DRIVE_PATH"),
        DriveAccess(),
    ):
        assert len(listed(source_on(pictures, access=access))) == 12
    key = json.dumps(grants.service_account(pictures.url))
    monkeypatch.setenv("DRIVE_JSON", key)
    access = DriveAccess(variable="DRIVE_JSON", impersonate="ann@example.org")
    assert len(listed(source_on(pictures, access=access))) == 12
    assert grants.subjects[-1] == "ann@example.org"


def test_a_person_whose_consent_is_withdrawn_is_told(
    pictures: DriveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIVE_JSON", json.dumps(pictures.grants.authorized_user(pictures.url)))
    pictures.grants.revoke()
    with pytest.raises(CredentialsError, match=r"of the account of the credentials .invalid_grant"):
        source_on(pictures, access=DriveAccess(variable="DRIVE_JSON")).check()


BAD_KEYS: dict[str, Any] = {
    "no json": "-----BEGIN PRIVATE KEY----- sesame",
    "no object": '["sesame"]',
    "no type": '{"private_key": "sesame"}',
    "no key": '{"type": "service_account", "client_email": "a@b", "token_uri": "x", "private_key": "sesame"}',
    "no secret": '{"type": "authorized_user", "refresh_token": "sesame"}',
}


@pytest.mark.parametrize("text", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_credentials_of_no_use_are_named_and_never_quoted(
    drive: DriveServer, tmp_path: Path, text: str
) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(CredentialsError, match=r"bad\.json holds no credentials") as caught:
        source_on(drive, access=DriveAccess(file=str(tmp_path / "bad.json"))).check()
    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_credentials_that_are_not_there_are_said(drive: DriveServer, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"none\.json cannot be read .No such file"):
        source_on(drive, access=DriveAccess(file=str(tmp_path / "none.json"))).check()
    with pytest.raises(CredentialsError, match="variable NOT_SET_AT_ALL is not set"):
        source_on(drive, access=DriveAccess(variable="NOT_SET_AT_ALL")).check()


def test_without_the_extra_its_name_is_said(
    drive: DriveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(UnavailableError, match=r"pip install 'aion_dagster\[drive\]'"):
        source_on(drive).check()


def test_secrets_are_in_no_word_that_a_source_says(pictures: DriveServer) -> None:
    source = source_on(pictures)
    listed(source)
    said = [repr(vars(source)), repr(source._api.calls)]
    pictures.grants.revoke()
    try:
        source_on(pictures).check()
    except CredentialsError as error:
        said.append(repr(error))
    key = json.loads(Path(pictures.key).read_text())["private_key"]
    for secret in (key[40:80], pictures.grants.refresh_token, "ya29."):
        assert not any(secret in text for text in said)
