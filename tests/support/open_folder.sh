# Sourced by scripts that run tests: where the checkout lies in a folder that ordinary users may not enter, tests, which run programs of
# the build tree as such, get one that they may. `top`, the checkout's folder, is set by the script.
# shellcheck shell=bash disable=SC2154

# The first folder on the way to the checkout that ordinary users may not enter: root's home, say. Empty: there is none.
closed_folder() {
  local folder='' part
  local IFS=/
  for part in ${top#/}; do
    folder+=/$part
    [ $((0$(stat -c %a "$folder") & 1)) -eq 1 ] || { echo "$folder"; return; }
  done
}

# Tests run programs of the build tree as ordinary users. Where these can't come there, the tests get a mount namespace in which an
# empty folder that they may enter lies over the closed one, with the checkout and the caches in their places.
with_open_folder() {
  local closed cache=${XDG_CACHE_HOME:-$HOME/.cache}
  closed=$(closed_folder)
  if [ -z "$closed" ]; then
    "$@"
    return
  fi
  [ "$closed" != "$top" ] || fail "ordinary users may not enter $top, and tests run programs in it as such: chmod o+x it"
  echo "$closed is closed to ordinary users: the tests see an open folder in its place, in a mount namespace of their own"
  mkdir -p "$cache"
  # shellcheck disable=SC2016 # the inner shell's variables
  unshare --mount --propagation private bash -euc '
    closed=$1 top=$2 cache=$3
    shift 3
    exec {tree}<"$top" {caches}<"$cache"
    mount -t tmpfs -o mode=755 tests "$closed"
    mkdir -p "$top" "$cache"
    mount --no-canonicalize --bind "/proc/self/fd/$tree" "$top"
    mount --no-canonicalize --bind "/proc/self/fd/$caches" "$cache"
    exec {tree}<&- {caches}<&-
    cd "$top"
    exec "$@"' with_open_folder "$closed" "$top" "$cache" "$@"
}
