#!/usr/bin/env bash
# Builds the image safelight:local (or $1) from a statically linked, portable program. No base image is pulled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
image=${1:-safelight:local}

# Static glibc: --target keeps the flag away from build scripts and macros, which must stay dynamic.
# Without "simd" the coder runs on every processor of the architecture; an image does not know where it will run.
target=$(rustc -vV | sed -n 's/^host: //p')
env "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_RUSTFLAGS=-C target-feature=+crt-static" \
  cargo build --release --locked --package safelight --no-default-features --target "$target"
program=${CARGO_TARGET_DIR:-target}/$target/release/safelight

# A program that names an interpreter (the dynamic loader) would not start from scratch.
if readelf --program-headers "$program" | grep -q 'INTERP'; then
  echo "deploy/build.sh: $program is not statically linked" >&2
  exit 1
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -d "$context"/root/{bin,data,photos,volumes}
install -d -m 1777 "$context/root/tmp"
strip --strip-debug -o "$context/root/bin/safelight" "$program"
chmod 0755 "$context/root/bin/safelight"
cp deploy/Dockerfile "$context/"

docker build --quiet --tag "$image" "$context"
docker run --rm --network none --read-only "$image" --version
docker image ls "$image"
