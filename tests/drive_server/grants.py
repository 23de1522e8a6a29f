"""Who may ask: keys of service accounts, refresh tokens of people, and the access tokens made from them."""

from __future__ import annotations

import base64
import json
import secrets
import time
from functools import cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .refusals import GrantRefusal, unauthorized

EMAIL: Final = "reader@aion-test.iam.gserviceaccount.com"
READONLY: Final = "https://www.googleapis.com/auth/drive.readonly"
AUDIENCE: Final = "https://oauth2.googleapis.com/token"
JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@cache
def _key() -> rsa.RSAPrivateKey:
    """One for the whole process: making it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Grants:
    """Gives access tokens for what it knows, until it is revoked."""

    def __init__(self) -> None:
        self.refresh_token = "1//" + secrets.token_urlsafe(32)
        self.client_secret = "GOCSPX-" + secrets.token_urlsafe(16)
        self.is_revoked = False
        self.subjects: list[str] = []
        self.given: set[str] = set()

    def service_account(self, base_url: str) -> dict[str, str]:
        """The JSON of a service account's key, as Google's console hands it out."""
        text = _key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": "aion-test",
            "private_key_id": "0123456789abcdef",
            "private_key": text.decode(),
            "client_email": EMAIL,
            "client_id": "1234567890",
            "token_uri": f"{base_url}/token",
            "universe_domain": "googleapis.com",
        }

    def authorized_user(self, base_url: str) -> dict[str, str]:
        """The JSON of a person's consent, as `gcloud` and the sign-in libraries write it."""
        return {
            "type": "authorized_user",
            "client_id": "1234567890.apps.googleusercontent.com",
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
            "token_uri": f"{base_url}/token",
        }

    def revoke(self) -> None:
        """Nothing that was given is good any more, and nothing new is given."""
        self.is_revoked = True
        self.given.clear()

    def restore(self) -> None:
        self.is_revoked = False

    def forget_access_tokens(self) -> None:
        """As when an hour has passed."""
        self.given.clear()

    def check(self, header: str) -> None:
        if header.removeprefix("Bearer ") not in self.given:
            raise unauthorized()

    def token(self, form: dict[str, str], base_url: str) -> dict[str, Any]:
        kind = form.get("grant_type")
        if kind == JWT_GRANT:
            self._check_assertion(form.get("assertion", ""), base_url)
        elif kind == "refresh_token":
            if (
                form.get("refresh_token") != self.refresh_token
                or form.get("client_secret") != self.client_secret
            ):
                raise GrantRefusal("invalid_grant", "Bad Request")
        else:
            raise GrantRefusal("unsupported_grant_type", f"Invalid grant_type: {kind}")
        if self.is_revoked:
            raise GrantRefusal("invalid_grant", "Token has been expired or revoked.")
        token = "ya29." + secrets.token_urlsafe(24)
        self.given.add(token)
        return {
            "access_token": token,
            "expires_in": 3599,
            "token_type": "Bearer",
            "scope": READONLY,
        }

    def _check_assertion(self, assertion: str, base_url: str) -> None:
        try:
            head, body, signature = assertion.split(".")
            _key().public_key().verify(
                _decoded(signature),
                f"{head}.{body}".encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
            claims = json.loads(_decoded(body))
        except (ValueError, InvalidSignature):
            raise GrantRefusal("invalid_grant", "Invalid JWT Signature.") from None
        now = time.time()
        if not (claims["iat"] - 300 <= now < claims["exp"] <= claims["iat"] + 3600):
            raise GrantRefusal("invalid_grant", "Invalid JWT: Token must be a short-lived token")
        if claims["iss"] != EMAIL or claims["aud"] not in (AUDIENCE, f"{base_url}/token"):
            raise GrantRefusal("invalid_grant", "Invalid grant: account not found")
        if READONLY not in claims.get("scope", "").split():
            raise GrantRefusal(
                "invalid_scope", "Invalid OAuth scope or ID token audience provided."
            )
        self.subjects.append(claims.get("sub", ""))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
