#!/usr/bin/env bash
# Whether every package of constraints.txt has a wheel for each tested Python on each system that is promised. Prints the
# table of docs/platforms.md; ends with 1 where one is missing, and names it. Needs the network.
#
#   deploy/check-wheels.sh [python with pip]
set -euo pipefail
cd "$(dirname "$0")/.."

python="${1:-.venv/bin/python}"
read -ra pythons <<<"$(sed -n 's/^TESTED := //p' Makefile)"
systems=("Linux x86-64" "Linux arm64" "macOS arm64")
wheels="$(mktemp -d)"
trap 'rm -rf "$wheels"' EXIT

# What pip on the oldest promised system takes: glibc 2.28 (Debian 10, RHEL 8), or macOS 14 (pip counts down by itself).
platforms() {
  local machine
  case "$1" in
    "macOS arm64") echo --platform macosx_14_0_arm64 && return ;;
    "Linux x86-64") machine=x86_64 ;;
    "Linux arm64") machine=aarch64 ;;
  esac
  for glibc in 2_28 2_27 2_26 2_24 2_17 2_12 2_5; do echo --platform "manylinux_${glibc}_$machine"; done
  echo --platform "manylinux2014_$machine"
}

download() { # download VERSION SYSTEM PACKAGES…
  local version="$1" system="$2"
  # shellcheck disable=SC2046  # one word for each option
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$wheels" \
    --python-version "$version" $(platforms "$system") "${@:3}" >/dev/null 2>&1
}

missing=0
mapfile -t packages < constraints.txt
echo "| Python | $(printf '%s | ' "${systems[@]}")"
echo "|---|---|---|---|"
for version in "${pythons[@]}"; do
  row="| $version |"
  for system in "${systems[@]}"; do
    found="all ${#packages[@]}"
    if ! download "$version" "$system" "${packages[@]}"; then
      found=""
      for package in "${packages[@]}"; do
        download "$version" "$system" "$package" || found+="${found:+, }no $package"
      done
      missing=1
    fi
    row+=" ${found:-pip failed once} |"
  done
  echo "$row"
done
exit "$missing"
