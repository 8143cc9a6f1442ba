# Sourced by quickstart and run-tests: the packages of packaging/apt-packages.txt, and what they share besides.
# `top`, the checkout's folder, is set by the script.
# shellcheck shell=bash disable=SC2154

say() { printf '\n== %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# As root, through sudo where that is needed.
become_root() {
  [ "$(id -u)" -eq 0 ] && return
  command -v sudo >/dev/null || fail "it installs packages and starts a root program: run it as root, or install sudo"
  echo "this needs root: it runs itself again through sudo"
  exec sudo -- "$0" "$@"
}

# packages_of SECTION...: their names, a line each.
packages_of() {
  local section
  for section in "$@"; do
    awk -v want="[$section]" '/^#/ || !NF { next } /^\[/ { on = $0 == want; next } on' "$top/packaging/apt-packages.txt"
  done
}

# missing_packages SECTION...: those that are not installed.
missing_packages() {
  local name
  packages_of "$@" | while read -r name; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
  done
}

# install_packages RECORD SECTION...: says what it will install, installs it, and adds the names to the file RECORD.
install_packages() {
  local record=$1 missing
  shift
  mapfile -t missing < <(missing_packages "$@")
  if [ ${#missing[@]} -eq 0 ]; then
    echo "Debian packages: all there, nothing is installed"
    return
  fi
  echo "Debian packages that will be installed (apt-get, without recommended ones):"
  printf '%s ' "${missing[@]}" | fold -s -w 100 | sed 's/^/    /'
  echo
  command -v apt-get >/dev/null || fail "no apt-get here: these scripts are for Debian 12; CONTRIBUTING.md lists what a build needs"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=600 update -qq
  apt-get -o DPkg::Lock::Timeout=600 install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
  mkdir -p "$(dirname "$record")"
  printf '%s\n' "${missing[@]}" >>"$record"
}

# How many compilers at once: a g++ of this project needs up to 1 GiB.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
  [ "$memory" -lt "$cores" ] && cores=$memory
  echo $((cores > 0 ? cores : 1))
}

# build PRESET [cmake argument...]: into build/PRESET; its output is kept in build/PRESET.log and shown when it fails.
build() {
  local preset=$1 log=$top/build/$1.log built=0
  shift
  # Paths in the cache are relative to the checkout: a fresh clone finds what another one compiled.
  export CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1
  mkdir -p "$top/build"
  (cd "$top" && cmake --preset "$preset" -DPython3_EXECUTABLE=/usr/bin/python3 "$@" && cmake --build --preset "$preset" -j "$(build_jobs)") >"$log" 2>&1 || built=$?
  # Through sudo: whose the checkout is, may build there too. What is below build/PRESET stays root's: root runs it in the tests.
  chown --no-dereference --reference="$top" "$top/build" "$log"
  if [ "$built" -ne 0 ]; then
    grep -E -A20 'error:|FAILED:|CMake Error' "$log" | head -n 100 >&2 || tail -n 40 "$log" >&2
    fail "the build of preset $preset failed; all of its output is in $log"
  fi
  tail -n 1 "$log"
}
