#!/bin/sh
# Make the environment of the conformance check: tests/conformance/install.sh VENV_DIR
#
# Every version is pinned in constraints-conformance.txt. Without a graphics card the CPU build of torch is enough.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 VENV_DIR" >&2
    exit 2
fi
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
constraints=$root/constraints-conformance.txt
python=${PYTHON:-python3}

"$python" -m venv "$1"
# The packages that may bring what they depend on.
"$1/bin/python" -m pip install -c "$constraints" torch datumaro pycocotools datasets webdataset
# The packages that would bring torchvision, a second OpenCV or a video library, none of which
# reading a dataset needs; what they do need follows by name.
"$1/bin/python" -m pip install -c "$constraints" --no-deps globox supervision ultralytics
"$1/bin/python" -m pip install -c "$constraints" \
    defusedxml matplotlib opencv-python-headless pillow psutil pydeprecate pyyaml requests rich scipy tqdm
