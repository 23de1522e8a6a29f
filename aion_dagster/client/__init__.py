"""A client of the Aionvision REST API, usable alone: `from aion_dagster.client import AionVision`."""

from aion_dagster.client.client import AionVision, SyncAionVision
from aion_dagster.client.settings import ClientConfig, load_dotenv

__all__ = ["AionVision", "ClientConfig", "SyncAionVision", "load_dotenv"]
