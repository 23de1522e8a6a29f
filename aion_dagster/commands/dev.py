"""`aion-dagster dev`: the Dagster UI on the store's embedded instance, its sources watched."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from importlib.util import find_spec

from aion_dagster.commands.settings import store_config
from aion_dagster.config import LibraryConfig
from aion_dagster.errors import StoreLockedError, UnavailableError
from aion_dagster.resources.access import open_store
from aion_dagster.resources.instance import embedded_instance, instance_folder, report_dead_runs
from aion_dagster.storage.places import place_of


def dev(args: Namespace) -> int:
    """Become `dagster dev`, which ends when webserver and daemon end."""
    if find_spec("dagster_webserver") is None:
        raise UnavailableError("The UI needs the extra 'ui': pip install 'aion_dagster[ui]'")
    config = store_config(args)
    store = open_store(config.store, config.name)
    try:
        with (
            store.lock(wait=False, what="aion-dagster dev, starting"),
            embedded_instance(config.store) as instance,
        ):
            store.sweep()
            report_dead_runs(instance, config.store)
    except StoreLockedError as error:
        print(f"{error} The UI starts; its runs wait.", file=sys.stderr)
    if not config.remembered_path.is_file():
        config.remember()
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(instance_folder(config.store)),
        "AION_CONFIG": str(place_of(args.config) if args.config else config.remembered_path),
        "AION_STORE": config.store,
        "AION_LIBRARY": config.name,
    }
    if LibraryConfig.from_env(environment) != config:  # a flag overrules the file
        config.remember()
        environment["AION_CONFIG"] = str(config.remembered_path)
    # Superseded by a tool of its own in Dagster, which is one more thing to install.
    quiet = "ignore:Function `dev_command` is superseded"
    command = [sys.executable, "-W", quiet, "-m", "dagster", "dev"]
    command += ["-m", "aion_dagster.definitions", "--host", args.host, "--port", str(args.port)]
    print(f"UI on http://{args.host}:{args.port} (stop with Ctrl-C)", flush=True)
    # Dagster takes this process over: signals reach it directly, and it ends all that it started. It ignores none:
    # `cli.main` has seen to that.
    os.chdir(
        environment["DAGSTER_HOME"]
    )  # else Dagster warns of any other dagster.yaml where it stands
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own arguments
