#!/bin/bash
# The source of Debian 12's packages, unpacked once and kept: prints a folder for each. apt checks Debian's signatures.
# usage: sources.sh PACKAGE...
# env:   XDG_CACHE_HOME  (default ~/.cache): folders are below sandboxd-sources there
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sandboxd-sources
mkdir -p "$cache/lists/partial"
exec 9>"$cache/lock"
flock 9

# The mirrors that the host has Debian's packages from; its own lists are left alone. The release's own packages: tests need no updates,
# and not every mirror has their sources.
entries=$cache/sources.list
apt=(-q -o "Dir::Etc::sourcelist=$entries" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$cache/lists" -o Acquire::Retries=1
  -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Languages=none -o APT::Sandbox::User=root)
list_sources() {
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' | sort -u |
    awk -F '|' '$1 == "Debian" && $3 !~ /-/ { print "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " $2 " " $3 " " $4 }' >"$entries"
  [ -s "$entries" ] || { echo "sources.sh: apt has no packages of Debian's: run apt-get update" >&2; exit 1; }
  apt-get "${apt[@]}" --error-on=any update >&2
}

listed=
for package in "$@"; do
  folder=$cache/$package
  if [ ! -d "$folder" ]; then
    [ -n "$listed" ] || list_sources
    listed=yes
    rm -rf "$folder.tmp"
    mkdir "$folder.tmp"
    (cd "$folder.tmp" && apt-get "${apt[@]}" --only-source source "$package" >&2 && mv ./*/ tree)
    chmod -R a+rX "$folder.tmp"
    mv "$folder.tmp" "$folder"
  fi
  echo "$folder/tree"
done
