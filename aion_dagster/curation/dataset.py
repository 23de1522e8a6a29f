"""A dataset version: which pictures, with which annotations, in which splits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aion_dagster import schemas
from aion_dagster.curation.classes import class_order
from aion_dagster.curation.cleaning import clean_annotations, conflicts
from aion_dagster.curation.columns import flat, places_in, text
from aion_dagster.curation.fingerprint import VERSION_LENGTH, Splits, hashed
from aion_dagster.curation.group_keys import GroupKey, bonds, near_duplicate_bond
from aion_dagster.curation.groups import group_places, numbered
from aion_dagster.curation.keep_rule import DEFAULT_KEEP, KeepRule, keep_one
from aion_dagster.curation.left_out import Choice, live_pictures
from aion_dagster.curation.linking import Places
from aion_dagster.curation.quality import Quality, keep_good
from aion_dagster.curation.splits import UNPLACED, Earlier, Labelling, split_pictures
from aion_dagster.values import Category, Dataset, Loss

DEFAULT_SHARES: Final[Mapping[str, float]] = {"train": 0.8, "val": 0.1, "test": 0.1}
MakeNames = Callable[[Sequence[str], Sequence[str]], tuple[list[str], tuple[Loss, ...]]]
Mask = npt.NDArray[np.bool_]
CLASS: Final = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class DatasetSettings:
    """What a dataset is made of.

    `origins`: whose annotations count (labels, text, codes). `unlabelled`: what becomes of pictures that no label
    source names. `classes`: an explicit order that also leaves other classes out; None takes the order of the
    label sources. `shares`: split → share. `near_duplicates`: "group" keeps them in one split, "keep_one" keeps the
    best of each group (`keep` says which that is), "ignore" treats them as strangers. `group_by`: what else must stay
    together. `min_score`: annotations with a lower score are left out; those without a score stay; `min_scores` by origin. `quality`: what a
    picture must satisfy. `more`: further settings that a version stands for, such as what pictures were selected by.
    """

    name: str = "main"
    origins: tuple[str, ...] = ("labels",)
    unlabelled: Literal["include", "exclude"] = "include"
    classes: tuple[str, ...] | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))
    seed: int = 0
    near_duplicates: Literal["group", "keep_one", "ignore"] = "group"
    keep: tuple[KeepRule, ...] = DEFAULT_KEEP
    group_by: tuple[GroupKey, ...] = ()
    min_score: float | None = None
    min_scores: Mapping[str, float] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    more: Mapping[str, Any] = field(default_factory=dict)

    def fingerprintable(self) -> dict[str, Any]:
        """The settings as JSON-serialisable values, for the fingerprint and for storage; keys that were given are in `more`."""
        return {
            "name": self.name,
            "origins": list(self.origins),
            "unlabelled": self.unlabelled,
            "classes": None if self.classes is None else list(self.classes),
            "shares": {name: float(share) for name, share in sorted(self.shares.items())},
            "seed": self.seed,
            "near_duplicates": self.near_duplicates,
            "keep": list(self.keep),
            "group_by": [k for k in self.group_by if isinstance(k, str)],
            "min_score": self.min_score,
            "min_scores": dict(sorted(self.min_scores.items())),
            "quality": {k: v for k, v in asdict(self.quality).items() if v is not None},
            **self.more,
        }


@dataclass(frozen=True)
class Before:
    """What an earlier version fixes.

    `splits`: image_id and split of pictures that do not move. `categories`: class names, whose indices are kept.
    `hashes`: schema `ROW_HASHES`, for pictures that did not change.
    """

    splits: pa.Table | None = None
    categories: tuple[str, ...] = ()
    hashes: pa.Table | None = None


def build_dataset(
    *,
    library: pa.Table,
    annotations: pa.Table,
    near_duplicates: pa.Table,
    categories: tuple[Category, ...],
    labelled: Collection[str] | pa.Array | pa.ChunkedArray,
    settings: DatasetSettings,
    make_names: MakeNames,
    losses: Sequence[Loss] = (),
    previous_splits: Mapping[str, str] | None = None,
    previous_categories: tuple[str, ...] = (),
    before: Before | None = None,
    selected: pa.Array | None = None,
    measures: pa.Table | None = None,
) -> Dataset:
    """Build one version of a dataset; the same content gives the same version, whatever the order of rows.

    Args:
        library: schema `LIBRARY`; superseded and deleted rows are left out.
        annotations: schema `ANNOTATIONS`, of all origins, of byte-equal copies under their one image_id.
        near_duplicates: schema `NEAR_DUPLICATES`.
        categories: the classes that label sources declare, in their order.
        labelled: ids of the pictures that a label source names, with boxes or without.
        settings: what is wanted.
        make_names: export names for (names, SHA-256s), with the losses of renaming.
        losses: of reading and matching labels, passed through.
        previous_splits: image_id → split of the earlier version; those pictures do not move. In place of `before`.
        previous_categories: class names of the earlier version, whose indices are kept. In place of `before`.
        before: what the earlier version fixes.
        selected: ids of the pictures that were asked for; None for all.
        measures: image_id and what `settings.quality` wants measured.

    Raises:
        ConfigError: shares, classes or group keys cannot be used.
    """
    fixed = before or Before(_split_table(previous_splits), previous_categories)
    found = list(losses)
    choice = live_pictures(library)
    if selected is not None:
        asked = places_in(choice.pictures["image_id"], selected) >= 0
        choice.keep(asked, "not_selected", "the selection does not ask for it")
    keep_good(choice, settings.quality, measures)
    cleaned, classes, problems = _usable(annotations, choice.pictures, categories, fixed.categories, settings)  # fmt: skip
    found += problems
    named = _named(choice.pictures, labelled, cleaned)
    named = _unlabelled(choice, named, settings.unlabelled)
    with looking_up(choice.pictures["image_id"], fixed) as former:
        chosen = None
        if settings.near_duplicates == "keep_one":
            chosen = keep_one(choice, near_duplicates, named, _box_counts(choice, cleaned), settings.keep)  # fmt: skip
            named = named[chosen[0]]
        pictures = choice.pictures
        owners = places_in(cleaned["image_id"], pictures["image_id"])
        cleaned = with_coded_classes(cleaned.filter(pa.array(owners >= 0)))
        owners = owners[owners >= 0]
        groups = _groups(pictures, near_duplicates, settings)
        labelling = _labelling(owners, cleaned, named)
        earlier, hash_at = former()
    if chosen is not None:
        earlier, hash_at = _inherited(earlier, *chosen), hash_at[chosen[0]]
    codes, vocabulary, torn = _split(pictures, groups, labelling, settings, earlier)
    file_names, renamed = make_names(pictures["name"].to_pylist(), pictures["sha256"].to_pylist())
    found += [*choice.losses, *torn, *renamed, *_conflicts(pictures, cleaned)]
    images = _images(pictures, file_names, groups, codes, vocabulary, named)
    order = pc.sort_indices(images["file_name"])
    images, hash_at, codes = images.take(order).combine_chunks(), hash_at[order.to_numpy()], codes[order.to_numpy()]  # fmt: skip
    return _assemble(settings, images, cleaned, classes, found, choice.table, (fixed.hashes, hash_at), (codes, vocabulary))  # fmt: skip


def _split_table(splits: Mapping[str, str] | None) -> pa.Table | None:
    if not splits:
        return None
    columns = {"image_id": list(splits), "split": list(splits.values())}
    return pa.table(columns, schema=pa.schema([(c, pa.string()) for c in columns]))


def _usable(
    annotations: pa.Table,
    pictures: pa.Table,
    categories: Sequence[Category],
    previous: Sequence[str],
    settings: DatasetSettings,
) -> tuple[pa.Table, tuple[Category, ...], tuple[Loss, ...]]:
    """Clean annotations of the dataset's classes, and those classes in order."""
    cleaned, problems = clean_annotations(
        annotations,
        pictures,
        origins=settings.origins,
        min_score=settings.min_score,
        min_scores=settings.min_scores,
    )
    classes, class_losses = class_order(
        cleaned["category"].drop_null().to_pylist(),
        categories if "labels" in settings.origins else (),
        explicit=settings.classes,
        previous=previous,
    )
    known = pa.array([c.name for c in classes], pa.string())
    is_known = pc.is_in(cleaned["category"], value_set=known)
    # A caption has no class.
    kept = cleaned.filter(pc.or_(is_known, pc.equal(cleaned["origin"], "captions")))
    return kept, classes, (*problems, *class_losses)


def _named(
    pictures: pa.Table,
    labelled: Collection[str] | pa.Array | pa.ChunkedArray,
    annotations: pa.Table,
) -> Mask:
    """Which pictures a label source names, or anything else says something about."""
    if not isinstance(labelled, pa.Array | pa.ChunkedArray):
        labelled = pa.array(sorted(labelled), pa.string())
    ids = pa.concat_arrays([text(labelled), text(annotations["image_id"])])
    return np.asarray(pc.is_in(text(pictures["image_id"]), value_set=ids).to_numpy(zero_copy_only=False))  # fmt: skip


def _unlabelled(choice: Choice, named: Mask, rule: Literal["include", "exclude"]) -> Mask:
    if rule == "exclude":
        choice.keep(named, "unlabelled", "no label source names it; left out")
        return named[named]
    nobody_s = choice.pictures["name"].filter(pa.array(~named)).to_pylist()
    detail = "no label source names it; stands among the pictures without objects"
    choice.losses += [Loss("unlabelled", name, detail) for name in nobody_s]
    return named


def with_coded_classes(annotations: pa.Table) -> pa.Table:
    """The same with numbers for classes, which are looked up once for all that counts them; each column in one piece."""
    place = annotations.schema.get_field_index("category")
    coded = annotations["category"].dictionary_encode()
    return annotations.set_column(place, "category", coded).combine_chunks()


def _box_counts(choice: Choice, annotations: pa.Table) -> Places:
    places = places_in(annotations["image_id"], choice.pictures["image_id"])
    return np.bincount(places[places >= 0], minlength=choice.pictures.num_rows)


@contextmanager
def looking_up(
    ids: pa.ChunkedArray, before: Before
) -> Iterator[Callable[[], tuple[Earlier | None, Places]]]:
    """Have looked up, on another core, what an earlier version says of pictures; the function waits for it.

    It gives the splits that they had, and where the version's hashes have each, -1 where they do not.
    """
    with ThreadPoolExecutor(2, thread_name_prefix="former") as aside:
        places = aside.submit(_former_places, ids, before)
        splits = aside.submit(_former_splits, before.splits)

        def found() -> tuple[Earlier | None, Places]:
            (at, hash_at), known = places.result(), splits.result()
            return None if known is None else Earlier(known[0][at], known[1]), hash_at

        yield found


def _former_places(ids: pa.ChunkedArray, before: Before) -> tuple[Places, Places]:
    """Where an earlier version's splits have each picture, and where its hashes do."""
    nowhere = np.full(len(ids), -1, np.int64)
    splits, hashes = before.splits, before.hashes
    at = nowhere if splits is None else places_in(ids, splits["image_id"])
    if hashes is None:
        return at, nowhere
    if splits is not None and splits["image_id"].equals(hashes["image_id"]):
        return at, at
    return at, places_in(ids, hashes["image_id"])


def _former_splits(splits: pa.Table | None) -> tuple[npt.NDArray[np.int8], list[str]] | None:
    """A code for each row, with `UNPLACED` behind them for place -1, and the splits that they stand for."""
    if splits is None or not splits.num_rows:
        return None
    encoded = splits["split"].dictionary_encode().unify_dictionaries()
    codes = [chunk.indices.to_numpy().astype(np.int8) for chunk in encoded.chunks]
    return np.append(np.concatenate(codes), np.int8(UNPLACED)), encoded.chunk(0).dictionary.to_pylist()  # fmt: skip


def _inherited(earlier: Earlier | None, kept: Mask, best: Places) -> Earlier | None:
    """A picture that is kept and has no split takes that of one that it replaces, the one with the smallest id."""
    if earlier is None:
        return None
    codes = earlier.codes.copy()
    lost = np.flatnonzero(~kept & (codes >= 0))[::-1]
    heirs = best[lost]
    new = earlier.codes[heirs] < 0
    codes[heirs[new]] = earlier.codes[lost[new]]
    return Earlier(codes[kept], earlier.splits)


def _groups(pictures: pa.Table, near_duplicates: pa.Table, settings: DatasetSettings) -> Places:
    """The group of each picture, named by the place of its first member; pictures are in the order of ids."""
    bound = list(bonds(pictures, settings.group_by))
    if settings.near_duplicates == "group":
        bound.append(near_duplicate_bond(pictures, near_duplicates))
    return group_places(pictures.num_rows, bound)


def _labelling(owners: Places, annotations: pa.Table, named: Mask) -> Labelling:
    """The classes of each picture's boxes, and the nameless class for what a label source names at all.

    The nameless class spreads labelled pictures evenly, negatives included.
    """
    encoded = flat(annotations["category"], CLASS)
    if encoded.null_count:
        owners, encoded = (
            owners[encoded.is_valid().to_numpy(zero_copy_only=False)],
            encoded.drop_null(),
        )
    names = encoded.dictionary.to_pylist()
    ranked = sorted({"", *names})
    codes = np.array([ranked.index(n) for n in names], dtype=np.int32)
    places = np.flatnonzero(named)
    return Labelling(
        np.concatenate([owners, places]),
        np.concatenate([codes[encoded.indices.to_numpy()], np.zeros(len(places), np.int32)]),
        ranked,
    )


def _split(
    pictures: pa.Table,
    groups: Places,
    labelling: Labelling,
    settings: DatasetSettings,
    earlier: Earlier | None,
) -> tuple[npt.NDArray[np.int8], tuple[str, ...], tuple[Loss, ...]]:
    heads, numbers = numbered(groups)
    names = flat(pictures["image_id"], pa.string()).take(pa.array(heads))
    return split_pictures(
        numbers, names, labelling, settings.shares, seed=settings.seed, earlier=earlier
    )


def _conflicts(pictures: pa.Table, annotations: pa.Table) -> tuple[Loss, ...]:
    several = pc.fill_null(pc.greater(pc.list_value_length(pictures["locations"]), 1), False)
    copied = pictures.filter(several)
    names = dict(zip(copied["image_id"].to_pylist(), copied["name"].to_pylist(), strict=True))
    return conflicts(annotations, names, names)


def _images(
    pictures: pa.Table,
    file_names: Sequence[str],
    groups: Places,
    codes: npt.NDArray[np.int8],
    vocabulary: Sequence[str],
    named: Mask,
) -> pa.Table:
    """Schema `DATASET_IMAGES`, in the order of ids."""
    given = {
        "file_name": pa.array(file_names, pa.string()),
        "split": pa.array(vocabulary, pa.string()).take(pa.array(codes.astype(np.int32))),
        "group_id": pictures["image_id"].take(pa.array(groups)),
        "labelled": pa.array(named),
        "locations": _ordered(pictures["locations"]),
    }
    columns = [given.get(n, pictures[n] if n in pictures.column_names else None) for n in schemas.DATASET_IMAGES.names]  # fmt: skip
    return pa.table(columns, schema=schemas.DATASET_IMAGES)


def _ordered(locations: pa.ChunkedArray) -> pa.Array:
    """Each picture's places in the order of their values; none where none are known."""
    lists = flat(locations, locations.type)
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    values = pc.list_flatten(lists)
    edges = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    order = np.arange(len(values))
    for row in np.flatnonzero(counts > 1).tolist():
        start, end = int(edges[row]), int(edges[row + 1])
        own = values[start:end].to_pylist()
        ranked = sorted(range(len(own)), key=lambda i: tuple(str(v) for v in own[i].values()))
        order[start:end] = start + np.array(ranked)
    return pa.ListArray.from_arrays(pa.array(edges), values.take(pa.array(order)))


def _assemble(
    settings: DatasetSettings,
    images: pa.Table,
    annotations: pa.Table,
    classes: tuple[Category, ...],
    losses: Sequence[Loss],
    left_out: pa.Table,
    known: tuple[pa.Table | None, Places],
    splits: Splits,
) -> Dataset:
    place = places_in(annotations["image_id"], images["image_id"])
    order = annotations.append_column("place", pa.array(place)).sort_by(
        [("place", "ascending"), ("annotation_id", "ascending")]
    )
    annotations = order.drop_columns("place").combine_chunks()
    starts = np.searchsorted(order["place"].to_numpy(), np.arange(len(images) + 1))
    chosen = settings.fingerprintable()
    hashes, whole = hashed(images, annotations, splits, classes, chosen, known[0], starts=starts, places=known[1])  # fmt: skip
    return Dataset(
        name=settings.name,
        version=whole[:VERSION_LENGTH],
        images=images,
        annotations=annotations.cast(schemas.ANNOTATIONS),
        categories=classes,
        losses=tuple(sorted(set(losses), key=lambda x: (x.kind, x.subject, x.detail))),
        settings=chosen,
        left_out=left_out,
        hashes=hashes,
    )
