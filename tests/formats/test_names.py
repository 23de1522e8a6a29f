"""Names of exported pictures."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_dagster.formats.names import export_names, extension, stem


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def named(*names: str) -> list[str]:
    return export_names(names, [digest(f"{i}{n}") for i, n in enumerate(names)])[0]


@pytest.mark.parametrize(
    ("own", "safe"),
    [
        ("sub\\a.jpg", "sub/a.jpg"),
        ("C:\\x\\a.jpg", "x/a.jpg"),
        ("/abs/a.jpg", "abs/a.jpg"),
        ("../../etc/a.jpg", "etc/a.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("line\nbreak\u2028.jpg", "line_break_.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("a .jpg", "a.jpg"),
        ("bad\udcff.jpg", "bad_.jpg"),
    ],
)
def test_rule_09_names_are_posix_and_relative(own, safe):
    names, losses = export_names([own], [digest("x")])
    assert names == [safe]
    assert [(loss.kind, loss.subject) for loss in losses] == [("renamed", own)]


@pytest.mark.parametrize("folder", ["images", "Images", "IMAGES"])
def test_rule_12_no_folder_lower_down_is_called_images(folder):
    assert named(f"site/{folder}/a.jpg") == [f"site/{folder}_/a.jpg"]
    assert named("images.jpg") == ["images.jpg"]


def test_rule_21_names_that_differ_in_case_or_extension_get_a_content_suffix():
    names = named("a.jpg", "A.png", "sub/a.jpg", "b.jpg")
    assert names[2:] == ["sub/a.jpg", "b.jpg"]
    assert names[0].startswith("a-")
    assert names[0].endswith(".jpg")
    assert names[1].startswith("A-")
    assert names[1].endswith(".png")


def test_rule_21_a_file_does_not_stand_where_a_folder_or_a_label_file_stands():
    names = named("a", "a/b.jpg", "c.jpg", "c.txt/d.jpg", "e.jpg", "e.xml/f.jpg")
    assert names[0].startswith("a-")
    assert names[2].startswith("c-")
    assert names[4].startswith("e-")


def test_rule_24_unicode_spaces_and_dots_survive():
    kept = ["é 图 1.v2.jpg", "été/ß 2.png", "no extension"]
    names, losses = export_names(kept, [digest(k) for k in kept])
    assert names == kept
    assert losses == ()


def test_a_decomposed_name_is_composed_and_reported():
    own = unicodedata.normalize("NFD", "é.jpg")
    names, losses = export_names([own], [digest("x")])
    assert names == ["é.jpg"]
    assert losses[0].subject == own


def test_a_long_name_is_shortened_at_a_character():
    (name,) = named("图" * 300 + ".jpeg")
    assert len(name.encode()) < 200
    assert name.endswith(".jpeg")
    assert len(named("图" * 300 + "/a.jpg")[0].split("/")[0].encode()) < 200


def test_two_equal_pictures_of_one_name_still_get_two_names():
    names, _ = export_names(["a.jpg", "a.jpg"], [digest("x"), digest("x")])
    assert len(set(names)) == 2


text = st.text(st.sampled_from("aAbéİßimagesIMAGES./\\:\n \x00图."), max_size=12)


@given(st.lists(text, max_size=12, unique=True), st.randoms())
def test_names_are_safe_unique_and_independent_of_order(names, random):
    digests = [digest(n) for n in names]
    new, losses = export_names(names, digests)
    keys = {stem(n).casefold() for n in new}
    assert len(keys) == len(names)
    for name in new:
        parts = name.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert "\\" not in name
        assert "images" not in [p.lower() for p in parts[:-1]]
        assert all(ord(c) >= 32 for c in name)
        assert stem(name) + extension(name) == name
    assert {loss.subject for loss in losses} == {
        o for o, n in zip(names, new, strict=True) if o != n
    }
    order = list(range(len(names)))
    random.shuffle(order)
    shuffled, again = export_names([names[i] for i in order], [digests[i] for i in order])
    assert shuffled == [new[i] for i in order]
    assert again == losses
