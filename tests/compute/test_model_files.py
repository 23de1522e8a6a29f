"""Models come from a folder or from a pinned revision of a hub: no pickles, no code, no secrets in what is said."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from model_hub import COMMIT, Hub, hanging_up, serving
from safetensors.numpy import save

from aion_dagster.compute.model_files import resolve_model
from aion_dagster.errors import ConfigError, UnavailableError

NAME = "somebody/tiny"
SECRET = "hf_aVerySecretTokenThatNobodyMaySee"
WEIGHTS = save({"w": np.arange(6, dtype=np.float32)})
CONFIG = json.dumps({"model_type": "tiny", "auto_map": {"AutoModel": "trap.Trap"}}).encode()
TRAP = b"raise SystemExit('code of the model was run')"
FILES = {
    "config.json": CONFIG,
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b"{}",
    "vocab.txt": b"a\nb\n",
    "spiece.model": b"\x00",
    "1_Pooling/config.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "additional_chat_templates/tools.jinja": b"{{ tools }}",
    "README.md": b"a model",
    "trap.py": TRAP,
    "pytorch_model.bin": b"\x80pickled",
    "onnx/model.onnx": b"\x08",
    "openvino/model.safetensors": WEIGHTS,
}
WANTED = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "vocab.txt",
    "spiece.model",
    "1_Pooling/config.json",
    "chat_template.jinja",
    "additional_chat_templates/tools.jinja",
}

SCRIPT = """
import json, sys
from aion_dagster.compute.model_files import resolve_model
from aion_dagster.errors import AionError
import traceback
try:
    files = resolve_model(*sys.argv[1:])
    print(json.dumps({"folder": str(files.folder), "identity": files.identity}))
except AionError as error:
    traceback.print_exc()
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "tiny"
    made.mkdir()
    (made / "model.safetensors").write_bytes(WEIGHTS)
    (made / "config.json").write_bytes(CONFIG)
    return made


def resolved(home, *arguments, endpoint="http://127.0.0.1:9", **environment):
    """What a fresh process finds, as the hub's library reads its settings once; answer and everything it said."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    ours = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_TOKEN": SECRET} | environment
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env=kept | ours,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def test_a_folder_is_taken_as_it_is(folder):
    files = resolve_model(str(folder))
    assert files.folder == folder
    name, _, digits = files.identity.partition("@")
    assert name == "tiny"
    assert len(digits) == 12


def test_the_identity_depends_on_weights_and_settings_and_not_on_the_place(folder, tmp_path):
    first = resolve_model(str(folder)).identity
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "tiny")
    assert resolve_model(str(copy)).identity == first
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    talk_changed = resolve_model(str(copy)).identity
    (copy / "config.json").write_text("{}")
    settings_changed = resolve_model(str(copy)).identity
    (copy / "model.safetensors").write_bytes(save({"w": np.zeros(6, np.float32)}))
    weights_changed = resolve_model(str(copy)).identity
    assert len({first, talk_changed, settings_changed, weights_changed}) == 4


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnavailableError, match="nowhere is missing"):
        resolve_model(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "last.ckpt"])
def test_a_folder_with_only_pickled_weights_is_refused_unread(folder, name):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was loaded",))

    (folder / "model.safetensors").rename(folder.parent / "away")
    (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnavailableError, match=rf"{name} is pickled"):
        resolve_model(str(folder))


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnavailableError, match="has no weights"):
        resolve_model(str(folder))


@pytest.mark.parametrize(
    "content", [b"", b"\x08", pickle.dumps({"weights": [1.0] * 50}), WEIGHTS[:20]]
)
def test_a_file_that_only_bears_the_name_of_safetensors_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="not a safetensors file"):
        resolve_model(str(folder))


def write_index(folder, *shards):
    index = {"weight_map": {f"w{i}": shard for i, shard in enumerate(shards)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_weights_in_several_files_must_all_be_there(folder):
    write_index(folder, "model.safetensors", "model-2.safetensors")
    with pytest.raises(UnavailableError, match=r"model-2\.safetensors is missing"):
        resolve_model(str(folder))
    (folder / "model-2.safetensors").write_bytes(WEIGHTS)
    assert resolve_model(str(folder)).folder == folder


def test_an_index_that_points_out_of_its_folder_is_refused(folder):
    write_index(folder, "../away.safetensors")
    with pytest.raises(ConfigError, match="outside of its folder"):
        resolve_model(str(folder))


@pytest.mark.parametrize("revision", [None, ""])
def test_a_hub_id_without_a_revision_is_refused(revision):
    with pytest.raises(ConfigError, match=r"needs a revision.*somebody/tiny@<commit>"):
        resolve_model(NAME, revision)


@pytest.mark.parametrize(
    ("name", "revision"),
    [(NAME, "../../etc"), (NAME, "a b"), ("a/b/c", "v1"), ("some body/tiny", "v1")],
)
def test_what_cannot_be_an_id_or_a_revision_is_refused(name, revision):
    with pytest.raises(ConfigError):
        resolve_model(name, revision)


@pytest.mark.parametrize("arguments", [(NAME, "v1"), (f"{NAME}@{COMMIT}",)])
def test_a_model_is_fetched_without_code_and_pickles_and_then_taken_from_the_cache(
    tmp_path, arguments
):
    with serving(Hub(NAME, FILES)) as hub:
        fetched, _ = resolved(tmp_path, *arguments, endpoint=hub.url)
        asked = len(hub.asked)
        again, _ = resolved(tmp_path, *arguments, endpoint=hub.url)
    offline, _ = resolved(tmp_path, *arguments, HF_HUB_OFFLINE="1")
    assert fetched["identity"].startswith(f"{NAME}@")
    assert fetched == again == offline
    assert asked == len(hub.asked)
    assert f"Bearer {SECRET}" in hub.tokens
    folder = tmp_path.joinpath(fetched["folder"])
    there = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
    assert there == WANTED
    assert not any(path.endswith((".bin", ".py", ".onnx")) for path in hub.asked)


@pytest.mark.parametrize("there", [["config.json"], ["config.json", "model.safetensors"]])
def test_a_snapshot_that_another_program_left_incomplete_is_completed(tmp_path, there):
    snapshot = tmp_path / "hub" / "models--somebody--tiny" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in there:
        (snapshot / name).write_bytes(FILES[name])
    with serving(Hub(NAME, FILES)) as hub:
        fetched, said = resolved(tmp_path, NAME, COMMIT, endpoint=hub.url)
    assert "folder" in fetched, said
    assert (snapshot / "model.safetensors").read_bytes() == WEIGHTS
    assert (snapshot / "tokenizer.json").is_file()


def test_a_revision_with_only_pickled_weights_is_refused_without_fetching_them(tmp_path):
    pickled = {"config.json": CONFIG, "pytorch_model.bin": b"\x80pickled"}
    with serving(Hub(NAME, pickled)) as hub:
        answer, _ = resolved(tmp_path, NAME, COMMIT, endpoint=hub.url)
    assert answer["error"] == "UnavailableError"
    assert "pickled" in answer["message"]
    assert not any(path.endswith(".bin") for path in hub.asked)


@pytest.mark.parametrize(
    ("revision", "environment"), [(COMMIT, {"HF_HUB_OFFLINE": "1"}), (COMMIT, {}), ("v1", {})]
)
def test_offline_and_not_in_the_cache_says_what_is_missing_and_the_way_out(
    tmp_path, revision, environment
):
    answer, _ = resolved(tmp_path, NAME, revision, **environment)
    assert answer["error"] == "UnavailableError"
    where = "HF_HUB_OFFLINE" if environment else "http://127.0.0.1:9 cannot be reached"
    for part in (NAME, revision, "hf download", "HF_HOME", where):
        assert part in answer["message"]


@pytest.mark.parametrize("revision", [COMMIT, "v1"])
def test_a_hub_that_hangs_up_is_given_up_after_two_requests(tmp_path, revision):
    with hanging_up() as hub:
        answer, _ = resolved(tmp_path, NAME, revision, endpoint=hub.url)
    assert answer["error"] == "UnavailableError"
    assert f"{hub.url} cannot be reached" in answer["message"]
    assert len([path for path in hub.asked if path.startswith("/api/models/")]) == 2


def test_a_hub_that_is_overloaded_for_a_moment_is_asked_again(tmp_path):
    with serving(Hub(NAME, FILES, overloaded=1)) as hub:
        answer, said = resolved(tmp_path, NAME, COMMIT, endpoint=hub.url)
    assert answer.get("identity", "").startswith(f"{NAME}@"), said


@pytest.mark.parametrize(
    ("status", "code", "kind", "part"),
    [
        (404, "RevisionNotFound", "ConfigError", "has no revision"),
        (404, "RepoNotFound", "UnavailableError", "no such model"),
        (401, "RepoNotFound", "UnavailableError", "no such model"),
        (403, "GatedRepo", "UnavailableError", "licence"),
        (500, "", "UnavailableError", "not here"),
    ],
)
def test_what_the_hub_refuses_is_said_without_the_token(tmp_path, status, code, kind, part):
    with serving(Hub(NAME, FILES, status=status, error_code=code)) as hub:
        answer, said = resolved(tmp_path, NAME, "v1", endpoint=hub.url)
    assert answer["error"] == kind
    assert part in answer["message"]
    assert f"Bearer {SECRET}" in hub.tokens
    assert SECRET not in said
