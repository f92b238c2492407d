#!/usr/bin/env bash
# Installs what the window and its tests need on Debian 12 besides git, gcc and Rust: a graphics driver (a software one
# is enough) and the libraries of the desktop, which the program opens when it starts.
set -euo pipefail
packages=(mesa-vulkan-drivers libxcursor1 libxi6 libxkbcommon-x11-0)
missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0
as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo)
"${as_root[@]}" apt-get update
"${as_root[@]}" apt-get install --yes --no-install-recommends "${missing[@]}"
