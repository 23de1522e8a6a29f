"""`python -m aion_dagster` is `aion-dagster`."""

import sys

from aion_dagster.cli import main

sys.exit(main())
