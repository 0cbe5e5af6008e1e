# shellcheck shell=bash
# Sourced by the scripts beside it: finds the tools, makes the environments and builds the package.
# Everything it makes lies in the project (.venv, .venv-original, .cache, target) and is kept for the
# next run, which repeats a step only when what the step depends on has changed. What is missing on the
# system is installed by apt-get, where there is one; `agree` asks first.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SCRIPT=$ROOT/scripts/$(basename "$0")
cd "$ROOT" || exit
VENV=$ROOT/.venv
CACHE=$ROOT/.cache
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off
unset PYTHONHOME PYTHONPATH
mkdir -p "$CACHE"

if [ -t 1 ]; then BOLD=$'\033[1m' PLAIN=$'\033[0m'; else BOLD='' PLAIN=''; fi
say() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# help_wanted "$@": if the first argument asks for it, prints the comment at the top of the script.
help_wanted() {
    case ${1:-} in
        -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$SCRIPT" && exit ;;
    esac
}

# run_quietly COMMAND...: shows the command's output only if it fails; meanwhile, how far it is.
run_quietly() {
    local log watcher status=0
    log=$(mktemp)
    show_progress "$log" &
    watcher=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    [ ! -t 2 ] || printf '\r\033[K' >&2
    [ "$status" = 0 ] || cat "$log" >&2
    rm -f "$log"
    [ "$status" = 0 ]
}

# show_progress LOG: the time that has passed and the last line of the log, every second at a terminal,
# every 30 elsewhere. It ends with the script, at the latest.
show_progress() {
    local began=$SECONDS passed line step=30 width
    [ ! -t 2 ] || step=1
    width=$(tput cols 2>/dev/null) || width=80
    while sleep "$step" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        passed=$(printf '%d:%02d' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)))
        line=$(tail -n 1 "$1" 2>/dev/null | tr -d '\000-\037')
        line="    $passed $line"
        if [ -t 2 ]; then printf '\r\033[K%s' "${line:0:width-1}" >&2; else printf '%s\n' "$line" >&2; fi
    done
}

# agree WHAT: asks before anything is installed outside the project, where there is somebody to ask.
# Elsewhere, as in CI, it says what will be installed and goes on.
agree() {
    local answer
    if [ ! -t 0 ] || [ ! -t 1 ] || [ -n "${CI:-}" ]; then
        say "outside the project: $1"
        return 0
    fi
    read -r -p "${BOLD}==>${PLAIN} outside the project: $1. Go on? [Y/n] " answer || return 1
    case $answer in '' | [Yy]*) return 0 ;; *) return 1 ;; esac
}

# --- what the system provides ---------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

can_apt() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null || return 1
    # A password can be asked for only where somebody sits at the terminal.
    sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

# apt_install PACKAGE...: from the package lists at hand, or from fresh ones when those do not do.
apt_install() {
    command -v apt-get >/dev/null || return 1
    agree "apt-get installs $*" && can_apt || return 1
    apt_install_agreed "$@"
}

apt_install_agreed() {
    apt_get install --no-install-recommends "$@" >"$CACHE/apt.log" 2>&1 </dev/null && return 0
    run_quietly apt_get update
    run_quietly apt_get install --no-install-recommends "$@"
}

# As apt_install, for a package that brings a service: it is neither started nor enabled.
apt_install_without_service() {
    local policy=/usr/sbin/policy-rc.d done=0
    command -v apt-get >/dev/null || return 1
    agree "apt-get installs $*, without starting it" && can_apt || return 1
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        apt_install_agreed "$@" || done=1
        as_root rm -f "$policy"
    else
        apt_install_agreed "$@" || done=1
    fi
    if [ "$done" = 0 ] && [ -d /run/systemd/system ]; then
        as_root systemctl disable --quiet "$@" 2>/dev/null || true
    fi
    return "$done"
}

need_cargo() {
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    command -v cargo >/dev/null || die "cargo is missing: install Rust (https://rustup.rs) and run this again"
    need_compiler
}

# Rust needs a C compiler to link, and OpenSSL is built from its sources, which takes make and a Perl with
# its standard modules; Debian's perl-base, which is always there, lacks those.
need_compiler() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    if [ -z "${OPENSSL_NO_VENDOR:-}" ]; then
        command -v make >/dev/null || missing+=(make)
        perl -MFindBin -MIPC::Cmd -e 1 2>/dev/null || missing+=(perl)
    fi
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}" ||
        die "the build needs what is missing: install it (Debian, Ubuntu: apt install ${missing[*]})"
}

# cargo_dev FEATURES COMMAND [OPTION...]: cargo with these features only, for lints and tests. OpenSSL is the one
# that the build of the package has made, where there is one: another takes minutes.
cargo_dev() {
    local features=$1 command=$2 made
    shift 2
    made=$(find "$ROOT"/target/release/build/openssl-sys-*/out/openssl-build/install -maxdepth 0 -printf '%T@ %p\n' \
        2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-)
    if [ -n "$made" ]; then
        OPENSSL_DIR=$made OPENSSL_STATIC=1 OPENSSL_NO_VENDOR=1 \
            cargo "$command" --no-default-features --features "$features" "$@"
    else
        cargo "$command" --no-default-features --features "${features:+$features,}vendored-openssl" "$@"
    fi
}

# Sanitizers are for nightly compilers only, and libFuzzer is C++.
need_cargo_fuzz() {
    local version=0.13.2
    need_cargo
    command -v rustup >/dev/null || die "rustup is missing, fuzzing needs a nightly compiler: install it (https://rustup.rs)"
    command -v c++ >/dev/null || apt_install g++ || die "c++ is missing and libFuzzer needs it: install g++"
    if ! rustup run nightly cargo --version >/dev/null 2>&1; then
        agree "rustup installs a nightly compiler" || die "fuzzing needs a nightly compiler"
        run_quietly rustup toolchain install nightly --profile minimal || die "could not install a nightly compiler"
    fi
    PATH=$CACHE/cargo-fuzz-$version/bin:$PATH
    [ -x "$CACHE/cargo-fuzz-$version/bin/cargo-fuzz" ] && return
    say "building cargo-fuzz $version"
    run_quietly cargo install cargo-fuzz --version "=$version" --locked --root "$CACHE/cargo-fuzz-$version" ||
        die "cargo-fuzz did not build"
}

# Its checks take a second, so it is not optimised, which makes it in one minute instead of several.
need_cargo_deny() {
    local version=0.20.2
    need_cargo
    PATH=$CACHE/cargo-deny-$version/bin:$PATH
    [ -x "$CACHE/cargo-deny-$version/bin/cargo-deny" ] && return
    say "building cargo-deny $version"
    CARGO_PROFILE_DEV_DEBUG=0 run_quietly \
        cargo install cargo-deny --version "=$version" --locked --debug --root "$CACHE/cargo-deny-$version" ||
        die "cargo-deny did not build"
}

need_mosquitto() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin
    command -v mosquitto >/dev/null || apt_install_without_service mosquitto ||
        die "mosquitto is missing and the tests start it: install it (Debian, Ubuntu: apt install mosquitto)"
}

# need_test_programs PACKAGE...: what the tests start beside mosquitto. Asks once for all.
need_test_programs() {
    local package program missing=()
    for package in "$@"; do
        program=${package%-bin}
        [ "$package" != chromium-driver ] || program=chromedriver
        command -v "$program" >/dev/null || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}" ||
        die "the tests start what is missing: install it (Debian, Ubuntu: apt install ${missing[*]})"
}

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# Sets PYTHON: the one named in the environment, else the first that is new enough.
need_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if is_python "$candidate"; then
            PYTHON=$candidate
            return
        fi
    done
    die "no Python 3.10 or later found${PYTHON:+ at PYTHON=$PYTHON}"
}

# need_headers: those of Python, against which uWSGI is compiled.
need_headers() {
    local version
    need_python
    version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$PYTHON" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        apt_install "python$version-dev" ||
        die "uWSGI, which the tests start, needs Python's headers: install them (Debian, Ubuntu: apt install python$version-dev)"
}

# find_interpreter 3.X: prints a Python of that version, from PATH or pyenv.
find_interpreter() {
    local candidate
    for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# --- environments ---------------------------------------------------------------------------

digest() { sha256sum | cut -d' ' -f1; }

# What the extension module is built from. Python sources are not: the installation is editable.
sources() {
    rustc --version
    find src Cargo.* pyproject.toml rust-toolchain.toml -type f -print0 2>/dev/null |
        LC_ALL=C sort -z | xargs -0 sha256sum || true
}

# make_venv DIRECTORY PYTHON: makes it anew when it is missing, broken or was made elsewhere.
make_venv() {
    local directory=$1 python=$2 version
    if [ "$(cat "$directory/.made-at" 2>/dev/null)" = "$directory" ] && is_python "$directory/bin/python"; then
        return
    fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip' 2>/dev/null || apt_install "python$version-venv" ||
        die "Python $version cannot make virtual environments: install python$version-venv"
    say "making ${directory#"$ROOT/"} (Python $version)"
    rm -rf "$directory"
    run_quietly "$python" -m venv "$directory" || die "could not make $directory"
    printf '%s\n' "$directory" >"$directory/.made-at"
}

# pip_install VENV NAME REQUIREMENT_FILE...
pip_install() {
    local venv=$1 name=$2 wanted stamp file arguments=()
    shift 2
    stamp=$venv/.installed-$name
    wanted=$(cat requirements/*.txt "$@" | digest)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    for file in "$@"; do arguments+=(-r "$file"); done
    say "installing the $name requirements into ${venv#"$ROOT/"}"
    run_quietly "$venv/bin/python" -m pip install "${arguments[@]}" || die "pip could not install $*"
    printf '%s\n' "$wanted" >"$stamp"
}

# need_package [GROUP...]: .venv with the requirements of the groups and the package, built from this tree.
need_package() {
    local group stamp=$VENV/.built
    need_cargo
    need_python
    make_venv "$VENV" "$PYTHON"
    for group in build "$@"; do pip_install "$VENV" "$group" "requirements/$group.txt"; done
    if [ "$(cat "$stamp" 2>/dev/null)" != "$(sources | digest)" ] ||
        ! compgen -G 'python/flask_mqtt/_core*.so' >/dev/null; then
        say "building flask-mqtt-rs (release)"
        VIRTUAL_ENV=$VENV run_quietly "$VENV/bin/python" -m maturin develop --release || die "the build failed"
        sources | digest >"$stamp" # after the build, which may have written Cargo.lock
    fi
}

# The tests of a project are in its source distribution.
fetch_sdist() {
    local project=$1 version=$2 sdists=$3
    find "$sdists" -iname "${project/-/?}-$version.tar.gz" 2>/dev/null | grep -q . && return
    say "fetching the source distribution of $project"
    run_quietly "$ROOT/.venv-original/bin/python" -m pip download --no-deps --no-binary "$project" \
        "$project==$version" -d "$sdists" || die "could not fetch the source distribution of $project"
}

# .venv-original: Flask-MQTT itself, for the parity tests and the benchmarks; and the tests of Flask-MQTT and paho.
need_original() {
    local sdists=$CACHE/original
    need_python
    make_venv "$ROOT/.venv-original" "$PYTHON"
    pip_install "$ROOT/.venv-original" original tests/parity/requirements.txt
    fetch_sdist Flask-MQTT 1.3.0 "$sdists"
    fetch_sdist paho-mqtt 2.2.0 "$sdists"
    export FLASK_MQTT_ORIGINAL_PYTHON=$ROOT/.venv-original/bin/python
}

# --- wheels ---------------------------------------------------------------------------------

# build_wheel DIRECTORY: for glibc 2.17 and later, with Zig's compiler, which has the symbols of every glibc.
build_wheel() {
    local target options=()
    need_cargo
    need_python
    make_venv "$VENV" "$PYTHON"
    pip_install "$VENV" build requirements/build.txt
    target=$(rustc -vV | sed -n 's/^host: //p')
    case $target in
        *-linux-gnu)
            pip_install "$VENV" wheel requirements/wheel.txt
            options=(--zig --compatibility manylinux2014)
            ;;
    esac
    say "building the wheel"
    # The folder of the target keeps apart what another compiler has made.
    PATH=$VENV/bin:$PATH run_quietly "$VENV/bin/python" -m maturin build --release --locked \
        --target "$target" "${options[@]}" --out "$1" || die "the wheel did not build"
}

# make_wheel_environments: one for each Python that the machine has, and fills them while the script goes on;
# FILLING is the process to wait for. What may ask a question comes before that.
make_wheel_environments() {
    local version python made=()
    for version in 3.10 3.11 3.12 3.13; do
        python=$(find_interpreter "$version") || continue
        make_venv "$CACHE/wheel-$version" "$python"
        made+=("$CACHE/wheel-$version")
    done
    fill_environments "${made[@]}" &
    FILLING=$!
}

fill_environments() {
    local venv
    for venv in "$@"; do pip_install "$venv" test requirements/test.txt; done
}

# test_wheel DIRECTORY: one abi3 wheel serves every Python. In each of those environments it is installed by pip,
# as a user would, and put to the smoke tests.
test_wheel() {
    local version venv tested=() wheels=$1
    wait "$FILLING" || die "there are no environments to try the wheel in"
    for version in 3.10 3.11 3.12 3.13; do
        venv=$CACHE/wheel-$version
        find_interpreter "$version" >/dev/null || continue
        run_quietly "$venv/bin/python" -m pip install --force-reinstall --no-deps "$wheels"/*.whl ||
            die "the wheel does not install on Python $version"
        smoke_test "$venv" "$version"
        tested+=("$version")
    done
    say "the wheel works on Python ${tested[*]}"
}

smoke_test() {
    local venv=$1 version=$2 status=0
    say "smoke tests on Python $version"
    "$venv/bin/python" -m pytest tests -m smoke -q -p no:cacheprovider || status=$?
    case $status in
        0) ;;
        5) say "no test carries the mark smoke: the wheel was only imported"
           "$venv/bin/python" -c 'import flask_mqtt' || die "the wheel cannot be imported on Python $version" ;;
        *) die "the smoke tests failed on Python $version" ;;
    esac
}
