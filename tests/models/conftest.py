"""Tests of models need torch and transformers, which `make models` installs; elsewhere they are not collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") and find_spec("transformers") else ["test_*.py"]
