# Shared by the scripts here: places, messages, timing. Sourced, never run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
dist=$target/dist
cache=${HYPER_LAB_CACHE:-$HOME/.cache/hyper-lab}

if [ -t 2 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

say() { printf '%s==> %s%s\n' "$bold" "$*" "$plain" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# True in the control domain of a running Xen.
is_dom0() { grep -qs control_d /proc/xen/capabilities; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
