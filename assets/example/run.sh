#!/usr/bin/env bash
# Turns two masks of a photograph into mask words, the words back into masks, and writes the sidecar.
# Works on copies in target/example, so that the assets stay as they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo build --release
samtok=${CARGO_TARGET_DIR:-target}/release/samtok

work=target/example
rm -rf "$work"
mkdir -p "$work"
cp assets/example/coffee.jpg assets/example/coffee-cup.png assets/example/coffee-spoon.png "$work"
image=$work/coffee.jpg
masks=("$work/coffee-cup.png" "$work/coffee-spoon.png")

printf '\n1. Masks to words\n'
encoded=$("$samtok" encode "$image" --mask "${masks[@]}")
printf '%s\n' "$encoded"
words=$(grep -o '<|mt_start|>.*<|mt_end|>' <<<"$encoded")

printf '\n2. Words to masks\n'
"$samtok" decode "$image" --words "$words" --out "$work"

printf '\n3. The annotations beside the image\n'
"$samtok" annotate "$image" --mask "${masks[@]}" \
    --label cup --label spoon \
    --caption 'A red cup of espresso with a white rim.' --caption 'A spoon, partly hidden by [[+1]].' \
    --question 'What lies beside [[+1]]?' --answer 'A spoon: [[+2]].'

printf '\nRebuilt masks: %s, %s\n' "$work/coffee.mask1.png" "$work/coffee.mask2.png"
printf 'Sidecar: %s\n' "$image.samtok.json"
