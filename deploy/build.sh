#!/usr/bin/env bash
# Build the functions' package: exactly what uv.lock says for the `aws` extra, for another machine than this
# one. Usage: build.sh FOLDER [PLATFORM [PYTHON_VERSION]]; the platform `host` means this machine and Python,
# which is what tests of the deployed stack run.
# Needs neither that Python nor a container: only ready-made wheels are taken, and check_bundle.py looks at
# what came. A repeat replaces the folder's content.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
target=${1:?the folder to build into}
platform=${2:-aarch64-manylinux_2_28}
python_version=${3:-3.13}
uv=${UV:-$root/.venv/bin/uv}
python=${PYTHON:-$root/.venv/bin/python}

for needed in "$root/uv.lock" "$uv" "$python"; do
    if [ ! -e "$needed" ]; then
        echo "$needed is missing: run \`make setup\`; with sam, build with --build-in-source" >&2
        exit 1
    fi
done

if [ "$platform" = host ]; then
    platform=$(uname -m)-manylinux_2_28
    python_version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$target"
target=$(cd "$target" && pwd)
if [ -n "$(ls -A "$target")" ] && [ ! -d "$target/kbsync" ]; then
    echo "$target holds something else than a bundle: name another folder" >&2
    exit 1
fi
find "$target" -mindepth 1 -delete

cd "$root"
"$uv" export --quiet --frozen --no-dev --extra aws --no-emit-project --output-file "$work/requirements.txt"
"$uv" build --quiet --wheel --out-dir "$work/wheel"
for_machine=(--quiet --target "$target" --python-platform "$platform" --python-version "$python_version"
    --only-binary :all: --no-compile-bytecode --link-mode copy)
"$uv" pip install "${for_machine[@]}" --require-hashes --requirement "$work/requirements.txt"
"$uv" pip install "${for_machine[@]}" --no-deps "$work"/wheel/kbsync-*.whl

"$python" "$here/prune_bundle.py" "$target"
"$python" "$here/check_bundle.py" "$target" "$platform" "$python_version"
