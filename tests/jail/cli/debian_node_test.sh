#!/bin/bash
# The profile `node` with Debian 12's own Node and npm, on a host that has another Node: they are unpacked into a folder that is kept,
# and laid over /usr in a mount namespace of the test's own. In the long run only; where the host's Node is Debian's, jail_languages
# has tested it.
# usage: debian_node_test.sh LANGUAGES_TEST PYTHON DIRECTORY_OF_THE_PROGRAMS
set -euo pipefail
test=$1 python=$2 programs=$3
version=18.
skip() {
  echo "$1"
  exit 77
}
[ "$(id -u)" -eq 0 ] || skip "needs root, for a daemon of its own"
case $(/usr/bin/node --version 2>/dev/null) in "v$version"*) skip "the host's Node is Debian 12's: jail_languages has tested it" ;; esac
[ -n "${SANDBOXD_LONG:-}" ] || skip "for the long run: it fetches Debian's packages"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/sandboxd-vm
tree=$cache/node.$(sha256sum "$0" | cut -c1-12)
mkdir -p "$cache"
exec 9>"$cache/node.lock"
flock 9
if [ ! -d "$tree" ]; then
  rm -rf "$cache"/node.*.tmp
  mmdebstrap --quiet --mode=root --variant=extract --aptopt='Acquire::Languages "none"' --include=nodejs,npm bookworm "$tree.tmp"
  mv "$tree.tmp" "$tree"
fi
exec 9>&-
# shellcheck disable=SC2016 # the inner shell's variables
exec unshare --mount --propagation private bash -euc '
  mount -t overlay -o "ro,lowerdir=$1/usr:/usr" node /usr
  shift
  echo "node $(/usr/bin/node --version), npm $(/usr/bin/npm --version)"
  case $(/usr/bin/node --version) in "v$0"*) exec "$@" ;; *) exit 1 ;; esac' "$version" "$tree" "$python" -B "$test" "$programs" Node
