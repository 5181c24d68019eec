#!/usr/bin/env bash
# Build the wheel, install it with pip in a new environment, start the command with no extra.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="$1"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
"$uv" build --quiet --wheel --out-dir "$scratch/dist"
"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$scratch"/dist/*.whl
"$scratch/venv/bin/kbsync" --version
"$scratch/venv/bin/kbsync" --help > /dev/null
status=0
said="$("$scratch/venv/bin/kbsync" --home "$scratch/home" init 2>&1)" || status=$?
echo "$said"
[ "$status" -eq 3 ] || { echo "expected exit 3 without the local extra, got $status"; exit 1; }
case "$said" in *"pip install 'kbsync[local]'"*) ;; *) echo "the missing extra's remedy is not named"; exit 1 ;; esac
echo "wheel: ok"
