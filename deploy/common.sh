# Shell functions that deploy/test and deploy/quickstart share. Sourced, never run.

# Whether the program's own output has colours; so then has that of its steps, which may run in a pipe or write a log.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then colour=yes; else colour=no; fi

say() {
  if [ "$colour" = yes ]; then printf '\n\033[1m== %s\033[0m\n' "$*"; else printf '\n== %s\n' "$*"; fi
}
note() { printf '   %s\n' "$*"; }
die() { printf '\nerror: %s\n' "$*" >&2; exit 1; }

# as_root COMMAND...: runs it as root, through sudo if need be.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else die "this needs root: run it as root or install sudo ($*)"
  fi
}

pauses_s="3 10"

# try_again COMMAND...: what asks the network, once more after each of these pauses if it fails: mirrors and indexes have bad moments.
try_again() {
  local pause_s
  for pause_s in $pauses_s; do
    "$@" && return
    note "failed, and tried again in $pause_s s: $*" >&2
    sleep "$pause_s"
  done
  "$@"
}

# install_packages NAME...: installs what is missing of these Debian packages, and says what.
install_packages() {
  local missing="" name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $name"
  done
  if [ -z "$missing" ]; then note "all packages are there"; return; fi
  command -v apt-get >/dev/null 2>&1 || die "not a Debian or Ubuntu system; install by hand:$missing"
  note "installing:$missing"
  update_lists
  # Fetched first, since what has failed while packages were set up does not get better.
  # shellcheck disable=SC2086
  try_again get_packages --download-only $missing
  # shellcheck disable=SC2086
  without_services get_packages $missing
}

get_packages() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install "$@" >/dev/null
}

# Once in a run, and by tries of our own, since a mirror that is gone costs each of apt-get's. Otherwise apt-get is content with the lists
# of before where one fails; as it has to be here, if the mirror is none of Debian's.
are_lists_new=no
update_lists() {
  [ $are_lists_new = no ] || return 0
  try_again as_root apt-get -o DPkg::Lock::Timeout=600 -o APT::Update::Error-Mode=any -o Acquire::Retries=0 -qq update ||
    as_root apt-get -o DPkg::Lock::Timeout=600 -qq update || return
  are_lists_new=yes
}

# are_offered NAME...: whether apt has each of these packages, installed or not; as of the last update of its lists.
are_offered() {
  local name
  for name in "$@"; do apt-cache policy "$name" 2>/dev/null | grep -q '^  Candidate: [^(]' || return 1; done
}

# Where Debian's packages ask whether they may start a service, and where units lie; a test has others.
policy=${BIFURCATED_POLICY_RC_D:-/usr/sbin/policy-rc.d}
units=${BIFURCATED_UNITS:-/usr/lib/systemd/system /lib/systemd/system /etc/systemd/system}

has_unit() {
  local folder
  for folder in $units; do [ -e "$folder/$1.service" ] && return; done
  return 1
}

# without_services COMMAND...: runs what installs packages, silently; the services that come with them and that nobody asked for
# ($services_unwanted) do not start, neither now nor with the machine. Services that were there before are left alone.
without_services() {
  local name fresh="" status=0
  for name in ${services_unwanted-}; do has_unit "$name" || fresh="$fresh $name"; done
  allow_services # what a run left that was killed
  if [ -z "$fresh" ]; then "$@" >/dev/null; return; fi
  if [ -e "$policy" ]; then as_root mv "$policy" "$policy.before-bifurcated"; fi
  {
    echo '#!/bin/sh'
    echo '# deploy/common.sh of bifurcated, while packages are installed'
    echo "for one; do case \$one in -*) continue ;; esac; case '$fresh ' in *\" \${one%.service} \"*) exit 101 ;; esac; break; done"
    echo "[ ! -x '$policy.before-bifurcated' ] || exec '$policy.before-bifurcated' \"\$@\""
  } | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  trap allow_services EXIT
  "$@" >/dev/null || status=$?
  trap - EXIT
  allow_services
  for name in $fresh; do
    has_unit "$name" || continue
    note "$name is not started: only tests need its programs (to have it as a service: systemctl enable --now $name)"
    ! command -v systemctl >/dev/null 2>&1 || as_root systemctl --quiet disable "$name" 2>/dev/null || note "$name: systemctl disable failed"
  done
  return "$status"
}

# Puts back what decided about services before.
allow_services() {
  if grep -qs '^# deploy/common.sh of bifurcated' "$policy"; then as_root rm -f "$policy"; fi
  if [ -e "$policy.before-bifurcated" ]; then as_root mv "$policy.before-bifurcated" "$policy"; fi
}

# unpack_packages FOLDER NAME...: what these Debian packages hold, in a folder; nothing of it is installed or started.
unpack_packages() {
  local folder=$1 name
  shift
  mkdir -p "$folder"
  for name in "$@"; do
    [ -e "$folder/$name.unpacked" ] && continue
    if are_offered "$name" && (cd "$folder" && rm -f "$name"_*.deb && try_again apt-get -qq download "$name" && dpkg-deb -x "$name"_*.deb .) 2>/dev/null; then
      rm -f "$folder/$name"_*.deb
      touch "$folder/$name.unpacked"
    else
      note "$name cannot be fetched; what needs it is skipped"
    fi
  done
}

# python_environment FOLDER REQUIREMENTS: a virtual environment with the pinned packages of a file. It is made
# anew only if the file has changed.
python_environment() {
  local folder=$1 requirements=$2 stamp
  stamp=$(sha256sum "$requirements" | cut -d' ' -f1)
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then note "the Python environment is there"; return; fi
  note "making a Python environment in $folder"
  rm -rf "$folder"
  # Python compiles what is used when it is; all of it takes half of the time. Chained, since `set -e` does not count where || follows.
  python3 -m venv "$folder" &&
    try_again "$folder/bin/pip" --quiet --disable-pip-version-check install --no-compile -r "$requirements" &&
    echo "$stamp" >"$folder/stamp"
}

# build PRESET [TARGET...]: configures and builds; prints what went wrong, and nothing else.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" >"build/configure-$preset.log" 2>&1 ||
    { cat "build/configure-$preset.log"; die "cmake --preset $preset failed"; }
  cmake --build "build/$preset" --parallel "$jobs" ${1:+--target "$@"} >"build/build-$preset.log" 2>&1 ||
    { grep -vE '^\[[0-9]+/[0-9]+\] ' "build/build-$preset.log" | head -60; die "the $preset build failed; all of it is in build/build-$preset.log"; }
  note "built"
}

jobs=${JOBS:-$(nproc)}
