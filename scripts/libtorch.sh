#!/bin/sh
# Installs libtorch 2.11.0 into .libtorch/ with pip, once. A LIBTORCH that is set already wins.
#
#   scripts/libtorch.sh          the CPU side: three packages without their dependencies, about 545 MB to download
#   CUDA=1 scripts/libtorch.sh   torch with its dependencies, for a GPU (several GB): CUDA 13.0, NVIDIA driver 580 or later
#   CUDA=cu126 or CUDA=cu128     the same for CUDA 12, driver 525 or later
set -eu
cd "$(dirname "$0")/.."

version=2.11.0
home=.libtorch

say() { printf '%s\n' "$*" >&2; }

by_hand() {
    say ""
    say "libtorch could not be installed: $1"
    say ""
    say "By hand: on any machine with pip and network,"
    say "    python3 -m pip install ${nodeps:+--no-deps }${index:+$index }--target $home $packages"
    say "and copy the folder $home here. Or unpack any libtorch $version (the folder with lib/ and include/) and set"
    say "    export LIBTORCH=/path/to/libtorch"
    exit 1
}

if [ -n "${LIBTORCH:-}" ]; then
    for library in "$LIBTORCH/lib/libtorch_cpu.so" "$LIBTORCH/lib/libtorch_cpu.dylib"; do
        [ -f "$library" ] && exit 0
    done
    say "LIBTORCH is set to $LIBTORCH, but that folder holds no lib/libtorch_cpu"
    say "unset it to let \`make libtorch\` install one, or set it to a libtorch $version"
    exit 1
fi

flavour=cpu
nodeps=yes
packages="torch==$version"
index=
case "${CUDA:-0}" in
0 | "" | 1 | cu126 | cu128) ;;
cu130) CUDA=1 ;;
*)
    say "CUDA=$CUDA is no flavour of libtorch $version; known are 1 (CUDA 13.0), cu126 and cu128"
    exit 1
    ;;
esac
case "$(uname -s)-$(uname -m)" in
Linux-x86_64)
    case "${CUDA:-0}" in
    1)
        flavour=cuda
        nodeps=
        ;;
    cu*)
        flavour=$CUDA
        nodeps=
        packages="torch==$version+$CUDA"
        index="--extra-index-url https://download.pytorch.org/whl/$CUDA"
        ;;
    *)
        # libtorch_cpu needs these two even without a GPU, and no more.
        packages="$packages nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85"
        ;;
    esac
    ;;
Darwin-*) ;;
*) by_hand "there is no recipe for $(uname -s) on $(uname -m)" ;;
esac

# What is there, by this script or by hand, serves if it is of this version, and for a GPU only with its dependencies and
# with the CUDA that was asked for.
installed() {
    case $flavour in
    cu1*) wanted="$version+$flavour'" ;;
    *) wanted=$version ;;
    esac
    grep -qsF "__version__ = '$wanted" "$home/torch/version.py" || return 1
    [ -f "$home/torch/lib/libtorch_cpu.so" ] || [ -f "$home/torch/lib/libtorch_cpu.dylib" ] || return 1
    [ "$flavour" = cpu ] || [ -d "$home/nvidia/cudnn" ]
}
if installed; then
    exit 0
fi

python=
for candidate in ${PYTHON:-} python3 python; do
    if "$candidate" -m pip --version >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || by_hand "neither python3 nor python has pip (Debian and Ubuntu: apt install python3-pip)"

# Installed beside its place, then renamed: an interruption never leaves half a libtorch behind. pip unpacks in TMPDIR,
# which is often too small for it.
partial=$(mktemp -d "$PWD/.libtorch.partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$partial/tmp" "$partial/home"
say "installing libtorch $version ($flavour) into $home/ with pip"
# shellcheck disable=SC2086 # several packages, several words
TMPDIR=$partial/tmp PIP_USER=0 PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --disable-pip-version-check --no-input --no-compile \
    ${nodeps:+--no-deps} $index --target "$partial/home" $packages ||
    by_hand "pip failed, see above ($("$python" --version 2>&1); torch $version has wheels for Python 3.10 to 3.14)"
[ -d "$partial/home/torch/lib" ] || by_hand "the package torch holds no lib/"
if [ -e "$home" ]; then
    mv "$home" "$partial/old"
fi
mv "$partial/home" "$home"
