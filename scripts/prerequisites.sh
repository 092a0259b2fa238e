#!/bin/sh
# Checks what building and testing cutover need besides git and make: cargo, a C compiler, libclang (for bindgen, which
# the SQL parser's crate uses) and PostgreSQL's server programs. Installs what is missing, as root or with a sudo that
# asks for no password; otherwise prints the command to run and fails. Says nothing when all is there.
#
# usage: prerequisites.sh [--check]     --check only says what is missing
set -eu

# ---- what is there ----------------------------------------------------------------------------------------------

exists() { [ -e "$1" ]; }

# The oldest minor version of cargo 1 that builds the workspace (rust-version in Cargo.toml).
oldest_cargo=88

find_cargo() { command -v cargo 2>/dev/null || command -v "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" 2>/dev/null; }

# Empty if it serves, else what is wrong with it. One that runs and says something else than usual is trusted.
cargo_problem() {
    cargo=$(find_cargo) || { printf 'cargo is not there'; return; }
    version=$("$cargo" --version 2>/dev/null) || { printf '%s does not run' "$cargo"; return; }
    minor=$(printf '%s\n' "$version" | sed -n 's/^cargo 1\.\([0-9][0-9]*\).*/\1/p')
    if [ -n "$minor" ] && [ "$minor" -lt "$oldest_cargo" ]; then
        printf '%s is version 1.%s' "$cargo" "$minor"
    fi
}

have_compiler() {
    [ -n "${CC:-}" ] || command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1
}

# libclang alone is not enough: without the headers of its own version it does not find stdbool.h. Both must come from
# one installation, so each is looked for as a pair.
have_libclang() {
    [ -z "${LIBCLANG_PATH:-}" ] || return 0
    for library in \
        /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/llvm*/lib/libclang*.so* \
        /usr/lib/libclang*.so* /usr/lib64/libclang*.so* /usr/local/lib/libclang*.so* \
        /usr/lib64/llvm*/lib*/libclang*.so* \
        /opt/homebrew/opt/llvm*/lib/libclang.dylib /usr/local/opt/llvm*/lib/libclang.dylib \
        /home/linuxbrew/.linuxbrew/opt/llvm*/lib/libclang.so* \
        /Library/Developer/CommandLineTools/usr/lib/libclang.dylib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib/libclang.dylib; do
        exists "$library" || continue
        case $library in *libclang-cpp*) continue ;; esac
        folder=${library%/*}
        # 64-bit libraries may be apart from the headers.
        for header in "$folder"/clang/*/include/stdbool.h "${folder%64}"/clang/*/include/stdbool.h; do
            ! exists "$header" || return 0
        done
    done
    return 1
}

# All of one version: the programs are taken from one folder.
have_postgres() {
    path_folders=$(printf '%s' "$PATH" | tr ':' '\n')
    newline='
'
    set -f
    old_ifs=$IFS
    IFS=$newline
    # shellcheck disable=SC2086 # split at newlines
    set -- $path_folders
    IFS=$old_ifs
    set +f
    for folder in "$@" \
        /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/lib/postgresql*/bin /usr/libexec/postgresql* \
        /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin /Library/PostgreSQL/*/bin; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && [ -x "$folder/pg_dump" ]; then
            return 0
        fi
    done
    return 1
}

missing=
need() { missing="$missing${missing:+, }$1"; }

look() {
    missing=
    packages=
    if ! have_compiler; then need 'a C compiler' && packages="$packages $compiler_packages"; fi
    if ! have_libclang; then need 'libclang with its headers' && packages="$packages $libclang_packages"; fi
    if ! have_postgres; then need 'PostgreSQL server programs' && packages="$packages $postgres_packages"; fi
    packages=${packages# }
}

# ---- how to get it ----------------------------------------------------------------------------------------------

choose_manager() {
    for manager in apt-get dnf apk pacman zypper brew none; do
        command -v "$manager" >/dev/null 2>&1 && break
    done
    refresh=
    shown=
    compiler_packages=gcc
    libclang_packages=clang-devel
    postgres_packages='postgresql-server postgresql'
    case $manager in
        apt-get)
            refresh='apt-get -qq update'
            shown='apt-get install'
            install='apt-get -qq -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends'
            compiler_packages='gcc libc6-dev'
            libclang_packages=libclang-dev
            postgres_packages=postgresql
            ;;
        dnf) install='dnf install --quiet --assumeyes' ;;
        apk)
            install='apk add --quiet'
            compiler_packages=build-base
            libclang_packages=clang-dev
            postgres_packages='postgresql postgresql-client'
            ;;
        pacman)
            install='pacman --sync --needed --noconfirm'
            libclang_packages=clang
            postgres_packages=postgresql
            ;;
        zypper) install='zypper --quiet --non-interactive install' ;;
        brew)
            install='brew install --quiet'
            libclang_packages=llvm
            postgres_packages=postgresql@17
            ;;
    esac
}

say() { printf '%s\n' "$*" >&2; }

# Runs a command quietly, a second time if it fails: package servers have bad moments.
attempt() {
    log=$(mktemp)
    if as_root "$@" >"$log" 2>&1 </dev/null || { sleep 2 && as_root "$@" >"$log" 2>&1 </dev/null; }; then
        rm -f "$log"
        return 0
    fi
    say "failed twice: $*"
    tail -n 15 "$log" >&2
    if grep -qiE 'resolve|unreachable|timed? ?out|connection|failed to fetch|mirror' "$log"; then
        say 'The package servers cannot be reached from here: check the network or its proxy, then run this again.'
    fi
    rm -f "$log"
    return 1
}

as_root() {
    if [ "$manager" = brew ] || [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    case $manager in
        none) return 1 ;;
        brew) return 0 ;;
        *) [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; } ;;
    esac
}

clusters() { command -v pg_lsclusters >/dev/null 2>&1 && pg_lsclusters --no-header 2>/dev/null | awk '{ print $1, $2 }'; }

# Debian and Ubuntu create a cluster and start it when the package is installed. Only the programs are wanted here: a
# drop-in file, there while the packages are installed, prevents it. Clusters that exist already stay as they are.
drop_in=/etc/postgresql-common/createcluster.d/cutover-prerequisites.conf
forbid_cluster() {
    before=$(clusters || :)
    as_root mkdir -p "${drop_in%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$drop_in" >/dev/null
    trap 'as_root rm -f "$drop_in"' EXIT
    trap 'exit 130' INT TERM HUP
}

# Old releases do not read the drop-in file: there the cluster that has just been created, and is empty, goes again.
drop_new_clusters() {
    clusters | while read -r version name; do
        case "
$before
" in
            *"
$version $name
"*) ;;
            *) as_root pg_dropcluster --stop "$version" "$name" ;;
        esac
    done
}

install_missing() {
    say "cutover needs $missing; installing: $packages"
    if [ "$manager" = apt-get ]; then
        case " $packages " in *' postgresql '*) forbid_cluster ;; esac
        export DEBIAN_FRONTEND=noninteractive
    fi
    # Fails with its reason below if it mattered.
    # shellcheck disable=SC2086 # the commands are lists of words
    [ -z "$refresh" ] || attempt $refresh || :
    # shellcheck disable=SC2086
    attempt $install $packages || return 1
    if [ -n "${before+set}" ]; then drop_new_clusters; fi
}

# ---- the check itself -------------------------------------------------------------------------------------------

# With sudo, the user's own cargo is out of sight.
problem=
[ -n "${SUDO_USER:-}" ] || problem=$(cargo_problem)
if [ -n "$problem" ]; then
    say "cutover needs cargo 1.$oldest_cargo or newer, and $problem; get it with"
    say "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    say 'or, where rustup is there already, with'
    say '    rustup update stable && rustup default stable'
    choose_manager
    look
    [ -z "$missing" ] || say "Also missing: $missing. Running this again with cargo there installs them."
    exit 1
fi
if have_compiler && have_libclang && have_postgres; then
    exit 0
fi
choose_manager
look
if [ "${1:-}" = --check ]; then
    say "missing: $missing"
    exit 1
fi
if [ "$manager" = brew ] && ! have_compiler; then
    say 'cutover needs a C compiler; get it with'
    say '    xcode-select --install'
    exit 1
fi
if ! may_install; then
    say "cutover needs $missing."
    if [ "$manager" = none ]; then
        say 'No known package manager (apt-get, dnf, apk, pacman, zypper, brew) is here: install them by hand, then run this again.'
    else
        say 'Installing takes root; run'
        say "    sudo sh $0"
        say 'or, leaving this script out of it,'
        say "    sudo ${shown:-$install} $packages"
    fi
    exit 1
fi
install_missing || { say "could not install what cutover needs: $missing"; exit 1; }
look
if [ -n "$missing" ]; then
    say "installed them, but still missing: $missing"
    exit 1
fi
