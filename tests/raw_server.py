"""A server of raw sockets: a test says byte by byte what a connection gets, and learns how its client ended it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Line:
    """One connection, as its server has it."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(20)
        # Without this every second part waits for a delayed acknowledgement.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What Python speaks TLS on takes a reset for an end.
        self._raw = connected.dup()
        self.socket = connected
        self._came = b""

    def speak_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def request(self) -> bytes | None:
        """The body of the next request; None at the end of the connection."""
        while b"\r\n\r\n" not in self._came:
            more = self.socket.recv(2**16)
            if not more:
                return None
            self._came += more
        head, _, rest = self._came.partition(b"\r\n\r\n")
        length = 0
        for header in head.split(b"\r\n")[1:]:
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        parts, have = [rest], len(rest)
        while have < length:
            more = self.socket.recv(2**20)
            assert more
            parts.append(more)
            have += len(more)
        body = b"".join(parts)
        self._came = body[length:]
        return body[:length]

    def send(self, *parts: bytes) -> None:
        """Each part goes out by itself."""
        for part in parts:
            self.socket.sendall(part)

    def reply(self, body: bytes = b"good", *, headers: str = "") -> None:
        self.send(f"HTTP/1.1 200 OK\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode(), body)

    def ending(self) -> str:
        """How the client ends it: "end", or "reset" where it leaves something unread."""
        try:
            while self._raw.recv(2**16):
                continue
        except ConnectionResetError:
            return "reset"
        return "end"

    def reset(self) -> None:
        """Break it: the client sees a reset, not an end."""
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._raw.close()
        self.socket.close()

    def close(self) -> None:
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)
        self._raw.close()
        self.socket.close()


Talk = Callable[[Line], object]


@dataclass
class RawServer:
    """Where it is, and how many connections there were."""

    url: str
    connections: int = 0


def answering(line: Line) -> None:
    """Answers every request with "good"."""
    while line.request() is not None:
        line.reply()


@contextmanager
def raw_server(
    talk: Talk, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[RawServer]:
    """Talk with everybody who connects, each in a thread."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        port = listening.getsockname()[1]
        place = f"[{host}]" if ":" in host else host
        server = RawServer(f"{'https' if context else 'http'}://{place}:{port}")

        def one(connected: socket.socket) -> None:
            line = Line(connected)
            lines.append(line)
            with suppress(OSError):
                try:
                    if context is not None:
                        line.speak_tls(context)
                    talk(line)
                finally:
                    line.close()

        def accept() -> None:
            while True:
                try:
                    connected, _ = listening.accept()
                except OSError:  # closed
                    return
                server.connections += 1
                threads.append(threading.Thread(target=one, args=(connected,), daemon=True))
                threads[-1].start()

        lines: list[Line] = []
        threads = [threading.Thread(target=accept, daemon=True)]
        threads[0].start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            for line in lines:
                line.close()
            for thread in threads:
                thread.join(20)


def certificate(folder: Path, host: str = "127.0.0.1") -> Path:
    """A file with a new certificate of the host, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .add_extension(_uses(), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def _uses() -> x509.KeyUsage:
    names = ["digital_signature", "key_cert_sign"]
    others = ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    others += ["crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**dict.fromkeys(names, True), **dict.fromkeys(others, False))


def serving(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
