#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a virtual environment with the packages that a lock names and nothing else. From the root of the repository:
#   manifests/environment.sh FOLDER LOCK [PYTHON]
# PYTHON is a program or a version, by default the newest of those below that is there; uv fetches what is missing
# where the network allows. Without FOLDER and LOCK it makes .uv, the environment of uv itself: any python3 will do.
set -euo pipefail

supported=(3.13 3.12 3.11)
uv=.uv/bin/uv
# uv does not read pip's settings, which a company's network may need.
if [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"; fi

say() { printf '%-62s' "$1"; }
said() { printf '%5d s\n' "$SECONDS"; }
stop() {
  printf '\n%s\n' "make: $1" >&2
  exit 1
}

# Runs a command in silence; where it fails, shows what it said and stops with one line.
attempt() {
  local cure=$1 words
  shift
  words=$("$@" 2>&1) || {
    printf '\n%s' "$words" >&2
    stop "$cure"
  }
}

make_uv() {
  local pinned
  pinned=$(grep '^uv==' requirements-uv.lock)
  command -v python3 >/dev/null || stop 'there is no python3. Debian, Ubuntu: sudo apt install python3-venv'
  say ".uv: ${pinned/==/ }"
  attempt 'python3 cannot make virtual environments. Debian, Ubuntu: sudo apt install python3-venv' \
    python3 -m venv --clear .uv
  attempt 'uv could not be installed: is there a network?' \
    .uv/bin/python -m pip install --disable-pip-version-check --requirement requirements-uv.lock
  said
}

newest() {
  local version
  for version in "${supported[@]}"; do
    "$uv" python find --system --no-python-downloads "$version" 2>/dev/null && return
  done
  echo "${supported[0]}"
}

make_environment() {
  local folder=$1 lock=$2 python=${3:-$(newest)}
  "$uv" venv --quiet --clear --python "$python" "$folder" 2>/dev/null ||
    stop "there is no Python ${python}, and it could not be fetched; 3.11, 3.12 and 3.13 will do. \
Debian 12, 13, Ubuntu 24.04: sudo apt install python3; Ubuntu 22.04: sudo apt install python3.11"
  say "$folder: $("$folder/bin/python" -V), packages of $lock"
  # Without a network, what an earlier installation left in uv's cache may do.
  "$uv" pip install --quiet --offline --python "$folder" --requirement "$lock" 2>/dev/null ||
    attempt 'the packages could not be installed: is there a network?' \
      "$uv" pip install --quiet --python "$folder" --requirement "$lock"
  said
}

if [ $# -eq 0 ]; then make_uv; else make_environment "$@"; fi
