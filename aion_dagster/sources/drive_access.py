"""Whose eyes a Drive source looks through: a service account, a person's consent, or what the machine provides."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aion_dagster.errors import CredentialsError, UnavailableError

MISSING_EXTRA: Final = "Google Drive needs the extra 'drive': pip install 'aion_dagster[drive]'."

SCOPE: Final = "https://www.googleapis.com/auth/drive.readonly"

_SIGN_IN: Final = "https://oauth2.googleapis.com/token"

_KINDS: Final = "a service account's key, or a person's consent of type authorized_user"


@dataclass(frozen=True, slots=True)
class DriveAccess:
    """Where the credentials are. They are read when they are needed, and kept nowhere else.

    Attributes:
        file: path of a JSON file: the key of a service account, or a person's consent (type `authorized_user`).
        variable: environment variable that holds such a path, or the JSON itself.
        impersonate: a person of the domain whom the service account stands in for (domain-wide delegation).

    With neither file nor variable, Google's usual chain is followed (`GOOGLE_APPLICATION_CREDENTIALS`, gcloud, machine).
    """

    file: str = ""
    variable: str = ""
    impersonate: str = ""

    def load(self) -> Any:
        """The credentials, not used yet.

        Raises:
            CredentialsError: there are none, or they are of no use; the message never quotes them.
            UnavailableError: the extra `drive` is not installed.
        """
        try:
            import google.auth
        except ImportError as error:
            raise UnavailableError(MISSING_EXTRA) from error
        if not self.file and not self.variable:
            try:
                found, _ = google.auth.default(scopes=[SCOPE])
            except google.auth.exceptions.DefaultCredentialsError:
                raise CredentialsError(
                    "Google Drive: no credentials; name a file (credentials_file) or an environment variable "
                    f"(credentials_env) with {_KINDS}."
                ) from None
            return found
        origin, text = self._text()
        return _parsed(origin, text, self.impersonate)

    def _text(self) -> tuple[str, str]:
        """Where the JSON was found, and the JSON."""
        place = self.file
        if not place:
            held = os.environ.get(self.variable, "").strip()
            if not held:
                raise CredentialsError(
                    f"Google Drive: the environment variable {self.variable} is not set; it should hold {_KINDS}, "
                    "or the path of a file with one."
                )
            if held.startswith("{"):
                return f"the environment variable {self.variable}", held
            place = held
        try:
            return place, Path(place).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise CredentialsError(
                f"Google Drive: the credentials {place} cannot be read ({reason})."
            ) from None


def _parsed(origin: str, text: str, impersonate: str) -> Any:
    """Credentials from JSON; what is wrong with it is said without a word of it."""
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import credentials, service_account

    refused = CredentialsError(
        f"Google Drive: {origin} holds no credentials; it should hold {_KINDS}."
    )
    try:
        info = json.loads(text)
    except ValueError:
        raise refused from None
    kind = info.get("type") if isinstance(info, dict) else None
    try:
        if kind == "service_account":
            found = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]  # google-auth has no types
                info, scopes=[SCOPE]
            )
            return found.with_subject(impersonate) if impersonate else found
        if kind == "authorized_user":
            # Without scopes: those that the person agreed to hold.
            return credentials.Credentials(  # type: ignore[no-untyped-call]  # google-auth has no types
                token=None,
                refresh_token=info["refresh_token"],
                client_id=info["client_id"],
                client_secret=info["client_secret"],
                token_uri=info.get("token_uri") or _SIGN_IN,
                quota_project_id=info.get("quota_project_id"),
            )
    except (ValueError, KeyError, GoogleAuthError):
        raise refused from None
    raise refused


def owner(credentials: Any) -> str:
    """Who the credentials speak for, as far as they say: something to share a folder with."""
    email = getattr(credentials, "service_account_email", "")
    return email if isinstance(email, str) and "@" in email else "the account of the credentials"
