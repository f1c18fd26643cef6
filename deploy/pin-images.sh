#!/bin/sh
# Pin every base image of deploy/ to the digest that its tag has today; run it again to move on to newer images.
# Needs Docker with buildx and the registry; nothing is changed unless all digests could be had.
set -eu
cd "$(dirname "$0")"
files="Dockerfile compose.yaml kubernetes/redis.yaml"
images="python:3.12-slim-bookworm redis:7.4-alpine"

edits=""
for image in $images; do
  digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
  # A digest names its content: anything else must not get into the files.
  echo "$digest" | grep -Eqx 'sha256:[0-9a-f]{64}' || { echo "no digest for $image: $digest" >&2; exit 1; }
  edits="$edits s|$image\(@sha256:[0-9a-f]*\)\{0,1\}|$image@$digest|;"
  echo "$image@$digest"
done
for file in $files; do
  sed "$edits" "$file" >"$file.pinned"
  cat "$file.pinned" >"$file"
  rm "$file.pinned"
done
