"""Fingerprints of what the assets of a batch are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from aion_dagster.backends.detections import DETECTION_TABLES
from aion_dagster.backends.protocol import UploadingBackend, VisionBackend
from aion_dagster.config import LibraryConfig
from aion_dagster.library_assets import (
    DOCUMENT_TABLES,
    LOGIC,
    PICTURE_TABLES,
    document_settings,
    has_remote_colors,
    has_remote_documents,
    pass_settings,
)
from aion_dagster.recipes import Digest, Recipe


def engine_of(backend: VisionBackend) -> str:
    """Which account of which server; nothing where there is none."""
    return backend.engine if isinstance(backend, UploadingBackend) else ""


@dataclass
class BatchFingerprints:
    """Fingerprints for any batch, by what tells it from others: the digest of its manifest, and the labels."""

    config: LibraryConfig
    backend: VisionBackend
    _recipes: dict[str, Recipe] = field(default_factory=dict)

    def of(self, manifest_digest: str, labels: str) -> dict[str, str]:
        """Asset → fingerprint of what it is made from, with labels of this fingerprint."""
        if labels not in self._recipes:
            self._recipes[labels] = Recipe(partial(self._fingerprints, labels))
        return self._recipes[labels].fingerprints(manifest_digest)

    def _fingerprints(self, labels: str, manifest: str, digest: Digest) -> dict[str, str]:
        """By asset, for a batch of this manifest; whatever depends on the batch follows from `manifest` by `digest`."""
        settings = pass_settings(self.config)
        # Which files are pictures depends on which are documents.
        files: list[object] = [
            manifest,
            *([list(self.config.documents)] if self.config.documents else []),
        ]
        picture = digest([*files, settings.operation(), settings.parameters()])
        prints = dict.fromkeys(PICTURE_TABLES, picture)
        detected: list[str | None] = [None, None]  # text, codes; what older stores were built with
        for place, (operation, table) in enumerate(DETECTION_TABLES.items()):
            if operation in self.config.detect:
                identity = self.backend.identity(operation)
                prints[table] = digest([picture, identity, LOGIC["detections"]])
                detected[place : place + 1] = [prints[table]]
        if isinstance(self.backend, UploadingBackend):
            prints["uploads"] = digest([picture, self.backend.engine, LOGIC["uploads"]])
        if has_remote_colors(self.config):
            parts = [prints["uploads"], self.config.colors, LOGIC["remote_colors"]]
            prints["color_analyses"] = digest(parts)
        prints["descriptions"] = digest(
            [picture, detected, self.backend.identity("describe"), LOGIC["descriptions"]]
        )
        prints["embeddings"] = digest(
            [prints["descriptions"], self.backend.identity("embed_text"), LOGIC["embeddings"]]
        )
        if self.config.models.joint is not None:
            identity = self.backend.identity("embed_images")
            prints["image_embeddings"] = digest([picture, identity, LOGIC["image_embeddings"]])
        if self.config.documents:
            documents = digest([files, self._document_parameters(), LOGIC["documents"]])
            prints |= dict.fromkeys(DOCUMENT_TABLES, documents)
        prints["label_matches"] = digest([picture, labels, LOGIC["annotations"]])
        prints["label_losses"] = prints["label_matches"]
        prints["annotations"] = digest([prints["label_matches"], detected])
        if "uploads" in prints:
            remote = self.config.aionvision
            wanted = [list(remote.write_back), list(remote.tags), LOGIC["write_back"]]
            made = [prints[asset] for asset in ("uploads", "descriptions", "annotations")]
            prints["write_back"] = digest([made, wanted])
        return prints

    def _document_parameters(self) -> str:
        from aion_dagster.backends.document_settings import (
            document_parameters,
            remote_document_parameters,
        )

        if has_remote_documents(self.config):
            return remote_document_parameters(engine_of(self.backend), self.backend)
        return document_parameters(document_settings(self.config), self.backend)
