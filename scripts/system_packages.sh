#!/usr/bin/env bash
# Installs the system libraries that pictures need (Open3D draws with Vulkan, in software where
# there is no GPU), what the tests of the viewer and of reports need (a screen without a monitor, a
# hand on its keys and a look at it, a browser, and Node for the decoder in JavaScript; doh3d itself
# uses none of them), and Python's venv module where Debian has split it off.
#
# usage: scripts/system_packages.sh [PYTHON]
#
# Nothing is touched that is there already, and nothing here is fatal: where apt-get or the
# right to use it is missing, one line names the packages and the set-up goes on.
set -u

python=${1:-python3}

# Other systems bring these libraries along, or name them differently.
[ "$(uname -s)" = Linux ] || exit 0

wanted=(libusb-1.0-0 libgl1 libegl1 libvulkan1 mesa-vulkan-drivers xvfb xdotool imagemagick)
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    wanted+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv")
fi

is_there() {
    # A package that is there for two architectures answers twice.
    [[ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" == *"install ok installed"* ]]
}

missing=()
for package in "${wanted[@]}"; do
    is_there "$package" || missing+=("$package")
done
# By itself: other distributions lack it, which must not cost the others.
browser=()
is_there chromium || command -v chromium >/dev/null || browser=(chromium)
# Node may have come from elsewhere than Debian.
command -v npm >/dev/null || browser+=(nodejs npm)
[ ${#missing[@]} -gt 0 ] || [ ${#browser[@]} -gt 0 ] || exit 0

by_hand() {
    echo "doh3d: $1; pictures, or tests, need these system packages: ${missing[*]} ${browser[*]}" >&2
    exit 0
}

command -v apt-get >/dev/null || by_hand "there is no apt-get here"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || by_hand "no right to install (neither root nor passwordless sudo)"
    as_root=(sudo -n)
fi

install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

echo "doh3d: installing system packages: ${missing[*]} ${browser[*]}"
# The package lists may be missing or old: fetch them only where it does not work without.
install "${missing[@]}" "${browser[@]}" && exit 0
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1
[ ${#browser[@]} -eq 0 ] || install "${browser[@]}" ||
    echo "doh3d: apt-get could not install ${browser[*]}; tests that need it are skipped" >&2
[ ${#missing[@]} -eq 0 ] || install "${missing[@]}" || by_hand "apt-get could not install them"
