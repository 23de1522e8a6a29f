#!/bin/sh
# Export the demonstration photographs in all formats, check the exports with other people's loaders, and read what those write.
# BIN: folder of the project's python and aion-dagster; CONFORMANCE: that of install.sh's environment.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
bin=${BIN:-$root/.venv/bin}
conformance=${CONFORMANCE:-$root/.venv-conformance/bin}
formats=coco,yolo,voc,csv,parquet,imagefolder,webdataset
here=$root/tests/conformance
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

both_ways() { # EXPORTS DATASET
    "$conformance/python" "$here/check.py" "$1"
    "$conformance/python" "$here/write_others.py" "$1/$2" "$1/$2-by-others"
    "$bin/python" "$here/read_others.py" "$1/$2-by-others"
}

"$bin/python" "$root/examples/demo_photos.py" "$work/photos"
"$bin/aion-dagster" run "$work/photos" --store "$work/store" --labels "$root/examples/labels.json" \
    --dataset demo --export "$formats"
both_ways "$work/store/exports" demo

# Photographs with every EXIF orientation, and labels whose areas are wrong, where they stand beside the project.
shared=$root/../shared/data
if [ -d "$shared" ]; then
    "$bin/aion-dagster" run "$shared/photos" "$shared/orientation" "$shared/labelled/images" --store "$work/other" \
        --labels "$shared/labelled/annotations_coco.json" --export "$formats"
    both_ways "$work/other/exports" main
fi
