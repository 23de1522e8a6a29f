#!/bin/sh
# Export the demonstration photographs in all formats and check the exports with other people's loaders.
# BIN: folder of the project's python and aion-dagster; CONFORMANCE: that of install.sh's environment.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
bin=${BIN:-$root/.venv/bin}
conformance=${CONFORMANCE:-$root/.venv-conformance/bin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/python" "$root/examples/demo_photos.py" "$work/photos"
"$bin/aion-dagster" run "$work/photos" --store "$work/store" --labels "$root/examples/labels.json" \
    --dataset demo --export coco,yolo,voc,csv
"$conformance/python" "$root/tests/conformance/check.py" "$work/store/exports"

# Photographs with every EXIF orientation, and labels whose areas are wrong, where they stand beside the project.
shared=$root/../shared/data
if [ -d "$shared" ]; then
    "$bin/aion-dagster" run "$shared/photos" "$shared/orientation" "$shared/labelled/images" --store "$work/other" \
        --labels "$shared/labelled/annotations_coco.json" --export coco,yolo,voc,csv
    "$conformance/python" "$root/tests/conformance/check.py" "$work/other/exports"
fi
