"""Document uploads of a small server: permissions, a storage, confirmations, batches, processing in steps."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from loopback_api import Asked, LoopbackApi, Reply


class DocumentStore:
    """What the server knows; `looks` is how often a document is looked at before it is over."""

    def __init__(self, api: LoopbackApi, *, looks: int = 1) -> None:
        self.api = api
        self.looks = looks
        self.documents: dict[str, dict[str, Any]] = {}
        self.stored: dict[str, bytes] = {}
        self.keys: dict[str, str] = {}
        self.batches: dict[str, list[str]] = {}
        self.plan: dict[str, Any] = {"max_concurrent": 3, "strategy": "parallel"}
        self.list_field = "presigned_urls"
        self.failing: set[str] = set()
        self.refused: set[str] = set()
        """Names whose bytes the storage does not take."""
        self.method = "PUT"
        self._lock = threading.Lock()
        uploads = "/document-uploads"
        api.on(f"POST {uploads}/request-presigned-url", self.permit)
        api.on("PUT //storage/{key}", self.store)
        api.on("POST //storage/{key}", self.store)
        api.on(f"POST {uploads}/confirm", self.confirm)
        api.on(f"GET {uploads}/{{id}}/status", self.status)
        api.on(f"POST {uploads}/batch-prepare", self.prepare)
        api.on(f"POST {uploads}/batch-confirm", self.confirm_batch)
        api.on(f"GET {uploads}/batch/{{id}}/status", self.batch_status)
        api.on("GET /documents", self.listed)

    def permit(self, asked: Asked) -> dict[str, Any]:
        return self._place(asked.json)

    def store(self, asked: Asked) -> Any:
        key = asked.path.rsplit("/", 1)[1]
        if any(name in key for name in self.refused):
            return Reply(b"<Error>AccessDenied</Error>", 403)
        if "content-length" not in asked.headers:
            return Reply(b"<Error>MissingContentLength</Error>", 411)
        with self._lock:
            self.stored[key] = asked.body
        return Reply(b"", 200, {"ETag": '"e"'})

    def confirm(self, asked: Asked) -> Any:
        key = asked.json["object_key"]
        if key not in self.stored:
            return Reply({"error": {"code": "NOT_FOUND", "message": "nothing stored"}}, 404)
        document, again = self._document(key)
        return Reply(
            {
                "document_id": document["document_id"],
                "object_key": key,
                "filename": document["filename"],
                "document_type": "pdf",
                "status": "pending",
                "confirmed": True,
                "deduplicated": False,
                "is_idempotent_retry": again,
            },
            201,
        )

    def prepare(self, asked: Asked) -> dict[str, Any]:
        batch = f"batch{len(self.batches)}"
        self.batches[batch] = []
        places = [
            self._place(file) | {"file_index": index, "upload_intent_id": f"i{index}"}
            for index, file in enumerate(asked.json["files"])
        ]
        return {
            "batch_id": batch,
            "upload_plan": self.plan,
            self.list_field: places,
            "total_size_bytes": sum(f["size_bytes"] for f in asked.json["files"]),
            "estimated_time_seconds": 1,
            "expires_at": "2035-01-15T10:40:00",
        }

    def confirm_batch(self, asked: Asked) -> dict[str, Any]:
        body = asked.json
        good = [c["object_key"] for c in body["confirmations"] if c["success"]]
        self.batches[body["batch_id"]] += good
        return {
            "batch_id": body["batch_id"],
            "successful_uploads": len(good),
            "failed_uploads": len(body["confirmations"]) - len(good),
            "processing_status": "queued",
            "documents": [self._batch_item(key) for key in good],
        }

    def batch_status(self, asked: Asked) -> dict[str, Any]:
        batch = asked.path.split("/")[-2]
        keys = self.batches[batch]
        for key in keys:
            self._document(key)[0]["looked"] += 1
        return {
            "batch_id": batch,
            "status": "processing",
            "total_documents": len(keys),
            "documents": [self._batch_item(key) for key in keys],
        }

    def status(self, asked: Asked) -> Any:
        document = self.documents.get(asked.path.split("/")[-2])
        if document is None:
            return Reply({"error": "NOT_FOUND", "message": "no document"}, 404)
        document["looked"] += 1
        state = self._state(document)
        more = {"error_message": "encrypted"} if state == "failed" else {}
        return {
            "document_id": document["document_id"],
            "filename": document["filename"],
            "text_extraction_status": state,
            "page_count": 2 if state == "completed" else None,
            "chunk_count": 5 if state == "completed" else None,
        } | more

    def listed(self, asked: Asked) -> dict[str, Any]:
        page, size = int(asked.query["page"][0]), int(asked.query["page_size"][0])
        newest = list(reversed(self.documents.values()))[(page - 1) * size : page * size]
        return {
            "documents": [
                {
                    "id": d["document_id"],
                    "filename": d["filename"],
                    "page_count": 2,
                    "chunk_count": 5,
                }
                for d in newest
            ],
            "total_count": len(self.documents),
            "page": page,
            "page_size": size,
        }

    def _place(self, file: dict[str, Any]) -> dict[str, Any]:
        token = file.get("idempotency_key") or f"n{len(self.keys)}"
        key = hashlib.sha256(token.encode()).hexdigest()[:16] + "-" + file["filename"]
        self.keys[key] = file["filename"]
        return {
            "filename": file["filename"],
            "upload_url": f"{self.api.url}/storage/{key}",
            "upload_method": self.method,
            "upload_fields": {"policy": "p"} if self.method == "POST" else None,
            "upload_headers": {"Content-Type": file["content_type"]},
            "object_key": key,
            "expires_at": "2035-01-15T10:40:00",
            "max_size_bytes": 52428800,
        }

    def _document(self, key: str) -> tuple[dict[str, Any], bool]:
        document_id = f"d-{key[:16]}"
        again = document_id in self.documents
        if not again:
            self.documents[document_id] = {
                "document_id": document_id,
                "filename": self.keys[key],
                "looked": 0,
            }
        return self.documents[document_id], again

    def _batch_item(self, key: str) -> dict[str, Any]:
        document = self._document(key)[0]
        return {
            "document_id": document["document_id"],
            "object_key": key,
            "filename": document["filename"],
            "document_type": "pdf",
            "text_extraction_status": self._state(document),
        }

    def _state(self, document: dict[str, Any]) -> str:
        if document["looked"] < self.looks:
            return "processing"
        return "failed" if document["filename"] in self.failing else "completed"
