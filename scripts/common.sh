# common.sh — sourced by demo and test: packages, build, the environment Open MPI needs. No output of its own when all is there.
set -eu
cd "$(dirname "$0")/.."

# Packages of Debian 12; what is installed already is left alone.
PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libopenblas-dev libopenblas0-pthread libdnnl-dev libhdf5-dev libyaml-dev zlib1g-dev
libssl-dev openmpi-bin libopenmpi-dev check libjansson-dev libpcre2-dev libutf8proc-dev gnuplot-nox"

install_packages() {
    missing=""
    for p in $PACKAGES; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "these packages are missing and there is no sudo:$missing" >&2; exit 1; }
        as_root="sudo"
    fi
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq </dev/null
    # shellcheck disable=SC2086  # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
}

# build PRESET: configures once, then compiles what has changed.
build() {
    [ -f "build/$1/build.ninja" ] || cmake --preset "$1" >/dev/null
    cmake --build --preset "$1" -j "$(nproc)" -- --quiet
}

# mpirun refuses root and more ranks than cores unless told, and binds each rank to one core.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
