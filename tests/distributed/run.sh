#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds Beam's runner prism and a storage emulator into build/bed, and runs these tests in a network of their own.
set -eu
cd "$(dirname "$0")/../.."

for program in go unshare nsenter ip; do
  command -v $program >/dev/null || { echo "SKIPPED: there is no $program here"; exit 0; }
done
mine=""
[ "$(id -u)" = 0 ] || mine="--map-root-user"
isolated="unshare $mine --net --mount --pid --fork --kill-child --mount-proc"
$isolated ip link set lo up 2>/dev/null || { echo "SKIPPED: no right to make namespaces here"; exit 0; }

PANPIPE_BED=$PWD/build/bed
mkdir -p "$PANPIPE_BED"
[ -x build/bed/prism ] || GOBIN=$PANPIPE_BED go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0
[ -x build/bed/fake-gcs-server ] || GOBIN=$PANPIPE_BED go install github.com/fsouza/fake-gcs-server@v1.56.1
export PANPIPE_BED
exec $isolated .venv/bin/pytest -m distributed -rs tests/distributed "$@"
