#!/bin/sh
# Make the environment in which models are tested: tests/models/install.sh VENV_DIR
#
# Every version is pinned in constraints-models.txt. Without a graphics card the CPU build of torch is enough;
# torchvision is not needed.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 VENV_DIR" >&2
    exit 2
fi
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
python=${PYTHON:-python3}

"$python" -m venv "$1"
"$1/bin/python" -m pip --disable-pip-version-check install --quiet -c "$root/constraints-models.txt" \
    -e "$root[models]" hypothesis pytest pytest-timeout
