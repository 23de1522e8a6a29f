"""Labels meet pictures: by hash, by path component by component, or by name, and never by a guess."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.label_annotations import Placement, placed_annotations
from aion_dagster.curation.label_claims import Claim, Picture, ambiguous_label, settled_claims
from aion_dagster.curation.label_conflicts import label_conflicts
from aion_dagster.curation.label_index import LabelIndex, Rows, index_labels
from aion_dagster.curation.paths import (
    SAME_BYTES,
    Fit,
    basenames,
    components,
    fit,
    readings,
    stem,
    stem_keys,
)
from aion_dagster.values import LabelSet, Loss

__all__ = [
    "LabelIndex",
    "LabelMatches",
    "index_labels",
    "match_labels",
    "unmatched_labels",
]


@dataclass(frozen=True)
class LabelMatches:
    """What a label set says about a batch: `annotations` (`ANNOTATIONS`), `matches` (`LABEL_MATCHES`), losses."""

    annotations: pa.Table
    matches: pa.Table
    losses: tuple[Loss, ...]


def match_labels(
    labels: LabelSet | LabelIndex,
    images: pa.Table,
    *,
    elsewhere: Mapping[str, Sequence[str]] | None = None,
) -> LabelMatches:
    """Find the labels of a batch of pictures, and bring their boxes into upright pixels.

    The same relative path wins, then the longest common suffix of components, then what fits without regard to
    case. Before that, a label that gives a SHA-256, or whose file name is one, means the picture of these bytes. A label whose
    `match` says so goes by its whole path, by its file name whatever the folder, or by the hash, only. Several pictures that fit equally well are a loss "ambiguous", and so are several labels of which only one
    can mean a picture. Labels without a picture in this batch are not reported here (`unmatched_labels`).

    A label whose size is the picture's upright size is taken as it is; one whose size is the stored size of a
    picture with EXIF orientation 5 to 8 is turned; any other size is a loss "mismatched". With orientation 2 to 4
    the two sizes are equal and the label counts as upright.

    Args:
        labels: a label set, or an index made once by `index_labels`.
        images: one batch, schema `IMAGES`; rows that are not ok are matched only to say so.
        elsewhere: casefolded basename → relative paths of the files in other batches, so that a name that fits
            better or equally well there is seen. A path that this batch has too is taken for the same file.
    """
    index = labels if isinstance(labels, LabelIndex) else index_labels(labels)
    pictures = _pictures(images)
    hashed = _hash_claims(index, pictures)
    named, losses = _claims(index, pictures, elsewhere or {}, {c.row for c in hashed})
    claims = [*hashed, *named]
    claims, contested = settled_claims(claims)
    placements, unreadable = _placements(index, claims)
    annotations, mismatched = placed_annotations(index, placements)
    matches = _matches(index, claims)
    disputed = label_conflicts(annotations, *_named(claims, matches))
    return LabelMatches(
        annotations, matches, (*losses, *contested, *unreadable, *mismatched, *disputed)
    )


def _named(
    claims: Sequence[Claim], matches: pa.Table
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Name of each picture that labels name, and the files of these."""
    names = {c.picture.identity: c.picture.name for c in claims}
    files: dict[str, list[str]] = {}
    columns = (matches["image_id"].to_pylist(), matches["label_file"].to_pylist())
    for image_id, file in zip(*columns, strict=True):
        files.setdefault(image_id, []).append(file or "")
    return names, files


def unmatched_labels(labels: LabelSet | LabelIndex, matched: Iterable[int]) -> tuple[Loss, ...]:
    """A loss "unmatched" for each label whose `label_image` is not among those that any batch matched."""
    known = pa.array(list(matched), pa.int64())
    rest = labels.images.filter(pc.invert(pc.is_in(labels.images["label_image"], value_set=known)))
    columns = (rest[c].to_pylist() for c in ("file_name", "label_file", "match"))
    return tuple(
        Loss(
            "unmatched", name or "", f"{file or 'a label file'} names it, and {_no_fit(name, how)}"
        )
        for name, file, how in zip(*columns, strict=True)
    )


def _no_fit(name: str | None, how: str | None) -> str:
    if how != "hash":
        return "no picture fits" if how != "path" else "no picture has this path"
    if re.fullmatch("[0-9A-Fa-f]{32}", stem(name or "")):
        return "no picture fits: its name looks like an MD5; pictures are known by their SHA-256"
    return "no picture has this SHA-256"


def _pictures(images: pa.Table) -> dict[str, list[Picture]]:
    """The pictures of a batch by the key of their stem."""
    columns = [
        "name",
        "uri",
        "image_id",
        "sha256",
        "status",
        "error",
        "width",
        "height",
        "orientation",
    ]
    keys = stem_keys(images["name"].combine_chunks().cast(pa.large_string())).to_pylist()
    pictures: dict[str, list[Picture]] = {}
    for key, row in zip(keys, images.select(columns).to_pylist(), strict=True):
        picture = Picture(row["name"], components(row["name"]), components(row["uri"] or ""), row)
        pictures.setdefault(key, []).append(picture)
    return pictures


def _others(
    pictures: Mapping[str, Sequence[Picture]], elsewhere: Mapping[str, Sequence[str]]
) -> dict[str, list[Picture]]:
    """Pictures of other batches that share the key of one of this batch."""
    own = {p.name for same in pictures.values() for p in same}
    others: dict[str, list[Picture]] = {}
    for key in pictures:
        names = {n for base in basenames(key) for n in elsewhere.get(base, ())}
        others[key] = [Picture(name, components(name)) for name in sorted(names - own)]
    return others


def _hash_claims(index: LabelIndex, pictures: Mapping[str, Sequence[Picture]]) -> list[Claim]:
    """For each label that gives the SHA-256 of a picture of the batch that picture, by its first path."""
    first: dict[str, Picture] = {}
    for picture in sorted((p for same in pictures.values() for p in same), key=_place):
        first.setdefault((picture.row or {})["sha256"] or "", picture)
    rows = index.hashed(pa.array([d for d in first if d], pa.string())).tolist()
    names = index.images["file_name"].take(pa.array(rows, pa.int64())).to_pylist()
    return [
        Claim(row, name, components(name), SAME_BYTES, first[index.digest(row)])
        for row, name in zip(rows, names, strict=True)
    ]


def _place(picture: Picture) -> tuple[str, str]:
    return picture.name, (picture.row or {})["uri"] or ""


def _claims(
    index: LabelIndex,
    pictures: Mapping[str, Sequence[Picture]],
    elsewhere: Mapping[str, Sequence[str]],
    hashed: Collection[int],
) -> tuple[list[Claim], list[Loss]]:
    """For each label that may name a picture of the batch the one it fits best."""
    names_here = pa.array([p.name for same in pictures.values() for p in same], pa.large_string())
    rows = [row for row in index.named(names_here).tolist() if row not in hashed]
    others = _others(pictures, elsewhere) if len(rows) and elsewhere else {}
    taken = index.images.select(["file_name", "match"]).take(pa.array(rows, pa.int64()))
    names, ways = taken["file_name"].to_pylist(), taken["match"].to_pylist()
    claims: list[Claim] = []
    losses: list[Loss] = []
    spelled = [
        (row, name, r, how)
        for row, name, how in zip(rows, names, ways, strict=True)
        for r in (readings(name) if how != "hash" else ())
    ]
    keys = stem_keys(pa.array([s[2] for s in spelled], pa.large_string())).to_pylist()
    settled: set[int] = set()
    for (row, name, reading, way), key in zip(spelled, keys, strict=True):
        if row not in settled:
            parts = components(reading)
            best, how = _best(parts, [*pictures.get(key, ()), *others.get(key, ())], way or "auto")
            if how is None:
                continue
            settled.add(row)
            here = [p for p in best if p.row is not None]
            if len({p.identity for p in best}) > 1 and here:
                losses.append(ambiguous_label(name, best))
            elif here:
                first = min(here, key=_place)
                claims.append(Claim(row, name, parts, how, first))
    return claims, losses


def _best(
    label: tuple[str, ...], candidates: Sequence[Picture], way: str
) -> tuple[list[Picture], Fit | None]:
    fits = [(how, p) for p in candidates if (how := _fit(label, p, way)) is not None]
    top = max((how for how, _ in fits), default=None)
    return [p for how, p in fits if how == top], top


def _fit(label: tuple[str, ...], picture: Picture, way: str) -> Fit | None:
    """How well a label fits a picture by path, by the whole path, or by the file name alone."""
    if way == "name":
        return fit(label[-1:], picture.parts[-1:], picture.uri_parts[-1:])
    how = fit(label, picture.parts, picture.uri_parts)
    return how if way != "path" or (how is not None and how.sure) else None


def _placements(index: LabelIndex, claims: Sequence[Claim]) -> tuple[list[Placement], list[Loss]]:
    sizes = index.images.select(["label_image", "width", "height"]).take(
        pa.array([c.row for c in claims], pa.int64())
    )
    placements: list[Placement] = []
    losses: list[Loss] = []
    for claim, size in zip(claims, sizes.to_pylist(), strict=True):
        row = claim.picture.row or {}
        if row["status"] != schemas.STATUS_OK:
            why = f"{row['status']}: {row['error']}" if row["error"] else row["status"]
            losses.append(Loss("invalid", claim.file_name, f"its picture cannot be used ({why})"))
            continue
        placements.append(
            Placement(
                label_image=size["label_image"],
                file_name=claim.file_name,
                image_id=row["image_id"],
                size=(row["width"], row["height"]),
                orientation=row["orientation"] or 1,
                label_size=(size["width"] or 0, size["height"] or 0),
            )
        )
    return placements, losses


def _matches(index: LabelIndex, claims: Sequence[Claim]) -> pa.Table:
    usable = [c for c in claims if (c.picture.row or {})["status"] == schemas.STATUS_OK]
    rows: Rows = np.array([c.row for c in usable], dtype=np.int64)
    named = index.images.select(["label_image", "label_file", "file_name"]).take(pa.array(rows))
    columns = {
        **{name: named[name] for name in named.column_names},
        "image_id": pa.array([(c.picture.row or {})["image_id"] for c in usable], pa.string()),
        "uri": pa.array([(c.picture.row or {})["uri"] for c in usable], pa.string()),
    }
    return pa.table(columns, schema=schemas.LABEL_MATCHES).sort_by(
        [("image_id", "ascending"), ("label_image", "ascending")]
    )
