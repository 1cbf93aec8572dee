# Shell functions for the steps of deploy/test. Sourced, never run; needs deploy/common.sh.

# One run at a time in a tree, whose builds and files are everybody's. keep_watch has the lock as long as anything of this run is left;
# that before it may be watched for a moment longer.
mkdir -p build
exec 9<>build/lock
flock --wait "${wait_s:-20}" 9 || die "another run works in $PWD/build (process $(cat build/lock)): await its end, or use another checkout"
echo $$ >build/lock
rm -f build/times.* build/running* # of a run that was killed with all that belonged to it
# What became of each step, a line each; also of those that run beside others.
results=$PWD/build/results.txt
: >"$results"
# The process of the step that runs, and the groups of what runs beside it.
running=$PWD/build/running
: >"$running"
: >"$running.beside"
trap 'exit 130' INT # a step that ends by itself at Ctrl-C, as pytest does, is the last one, too

# step NAME COMMAND...: runs it, remembers how it ended and what it took, goes on.
step() {
  local name=$1 begin=$SECONDS outcome=passed used=$PWD/build/times.$BASHPID
  shift
  say "$name"
  : >"$used"
  (echo "$BASHPID" >"$running"; "$@"; status=$?; times >"$used"; exit $status) || outcome=FAILED
  : >"$running"
  printf '%-7s %s (%s s, %s s of processors)\n' "$outcome" "$name" "$((SECONDS - begin))" "$(processors_s "$used")" >>"$results"
  rm "$used"
}

# processors_s FILE: what the second line of `times` in it, that of the processes waited for, adds up to.
processors_s() { awk -F '[ms ]+' 'NR == 2 { sum = 60 * ($1 + $3) + $2 + $4 } END { printf "%.0f\n", sum }' "$1"; }

# skipped NAME WHY: not run is not passed.
skipped() {
  say "$1"
  note "skipped: $2"
  printf 'skipped %s: %s\n' "$1" "$2" >>"$results"
}

# begin_group COMMAND...: runs it beside what follows, in a process group of its own ($group), which ends with this shell. await_group.
begin_group() {
  set -m
  "$@" </dev/null &
  group=$!
  set +m
  echo "-$group" >>"$running.beside"
  trap end_groups EXIT
}

# shellcheck disable=SC2046
end_groups() { kill -- $(cat "$running.beside") 2>/dev/null || true; }

# await_group GROUP: its status, once it has ended; what has another number then is not it.
await_group() {
  local status=0
  wait "$1" || status=$?
  sed -i "/^-$1\$/d" "$running.beside"
  return "$status"
}

# begin_beside FUNCTION...: their steps run beside what follows, where a processor is free; those of the second and later functions where
# the first leaves one, too, so that none waits as long as there is work. What a function's steps say goes to build/beside.FUNCTION.log.
begin_beside() {
  rm -f build/beside.*.log
  beside_functions=("$@")
  begin_group steps_beside "$@"
  beside=$group
}

steps_beside() {
  renice -n 19 -p "$BASHPID" >/dev/null 2>&1 || true # before it starts anything, since a new process may miss it
  running=/dev/null
  local lanes=() lane status=0
  for lane; do
    {
      [ "$lane" = "$1" ] || chrt --idle --pid 0 "$BASHPID" 2>/dev/null || true
      "$lane"
    } >"build/beside.$lane.log" 2>&1 &
    lanes+=($!)
  done
  for lane in "${lanes[@]}"; do wait "$lane" || status=$?; done
  return "$status"
}

# tree PID: it and all that descend from it.
tree() {
  local child
  echo "$1"
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do tree "$child"; done
}

# keep_watch: once this shell is gone, ends what it could not end, since it was killed: no group of its own has the step that
# runs, which is to hear of Ctrl-C. It alone keeps the lock, which would outlast it in whatever a step leaves running.
keep_watch() {
  set -m
  (
    tail --pid="$$" -f /dev/null
    # shellcheck disable=SC2046
    [ ! -s "$running" ] || kill $(tree "$(cat "$running")") || true # that step may be gone, too, the others not
    end_groups
    rm -f "$running" "$running.beside"
  ) </dev/null >/dev/null 2>&1 &
  set +m
  exec 9>&-
}
keep_watch

# await_beside [SECONDS NAME...]: waits for them, and prints what they said. Those of the names that have not ended once this shell is
# so many seconds old are ended and told as skipped.
await_beside() {
  local status=0 limit_s=${1:-0} is_cut=no name
  shift || true
  while [ "$limit_s" -gt 0 ] && kill -0 "$beside" 2>/dev/null; do
    if [ "$SECONDS" -ge "$limit_s" ]; then is_cut=yes; kill -- "-$beside" 2>/dev/null || true; break; fi
    sleep 1
  done
  await_group "$beside" || status=$?
  for name in "${beside_functions[@]}"; do cat "build/beside.$name.log"; done
  if [ $is_cut = yes ]; then
    for name in "$@"; do grep -qF " $name" "$results" || skipped "$name" "it had not ended after $limit_s s; run it without --within"; done
  elif [ "$status" -ne 0 ]; then
    printf 'FAILED  The steps beside others broke off with status %s\n' "$status" >>"$results"
  fi
}

# summary: all results; its status is that of the whole.
summary() {
  local red='' plain=''
  if [ "$colour" = yes ]; then red=$'\033[31m' plain=$'\033[0m'; fi
  sed "s/^/   /; s/^   FAILED.*/$red&$plain/" "$results"
  local count=() outcome
  for outcome in passed FAILED skipped; do count+=("$(grep -c "^$outcome" "$results" || true)"); done
  printf '%s passed, %s failed, %s skipped\n' "${count[@]}"
  [ "${count[1]}" -eq 0 ]
}
