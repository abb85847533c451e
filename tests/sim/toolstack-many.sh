#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan with many channels: the number of requests to xenstore for one of them does not grow with
# their number; and despite what it remembers, it sees new channels of others.
. "$(dirname "$0")/../lib/sim-lib.bash"

export PVCHAN_STATE_DIR=$work/state

# counted CMD…: runs an xl-vchan command; the number of its requests to xenstore is in $requests.
counted() {
    rm -f "$work/requests"
    LD_PRELOAD=$LD_PRELOAD:$PWD/tests/programs/.libs/requests.so REQUESTS=$work/requests run 0 xl-vchan "$@"
    requests=$(cat "$work/requests")
}

# config COUNT [KEYS]: writes a config file with that many channels. (A guest's 1000 nodes suffice
# for 120.)
config() {
    local entries=
    [ "$1" = 0 ] || printf -v entries "\"name=c%d${2:-}\"," $(seq "$1")
    printf 'name = "web"\nmemory = 64\nkernel = "/none"\nvchan = [ %s ]\n' "$entries" > "$work/$1.cfg"
}

# grows WHAT A B C BY: the requests with 10, 60 and 110 channels. Each channel always adds the same
# number.
grows() {
    local few=$((($3 - $2) / 50)) many=$((($4 - $3) / 50))
    echo "$1: $2, $3, $4 requests with 10, 60, 110 channels: $few and $many for each"
    [ $many -le $((few + 1)) ] || fail "$1: $2, $3, $4 requests with 10, 60, 110 channels"
}

# gone: the domain is gone with its devices, which the daemon removes.
gone() {
    run 0 xl destroy web
    run 0 xl-vchan watch --timeout 60 --until gone
}

part "requests of each command"
declare -A made
config 0
for count in 10 60 110; do
    config $count
    counted create "$work/$count.cfg"
    made[create]+=" $requests"
    counted attach web name=a
    made[attach]+=" $requests"
    counted list
    made[list]+=" $requests"
    counted detach web a
    made[detach]+=" $requests"
    config $count ,ring=4K
    counted apply "$work/$count.cfg"
    made[apply]+=" $requests"
    run 0 xl-vchan apply "$work/0.cfg"
    run 0 xl destroy web
done
for command in "${!made[@]}"; do grows $command ${made[$command]}; done

part "requests of the daemon"
mkdir "$work/declared"
for count in 10 60 110; do
    rm -f "$work/requests"
    run 0 xl create -q "$work/$count.cfg"
    cp "$work/$count.cfg" "$work/declared/web.cfg"
    LD_PRELOAD=$LD_PRELOAD:$PWD/tests/programs/.libs/requests.so REQUESTS=$work/requests \
        xl-vchan daemon --config-dir "$work/declared" 2> "$work/log" &
    daemon=$!
    run 0 xl-vchan wait --timeout 60 web c$count Initialising
    gone
    kill $daemon
    wait $daemon || fail "the daemon: $?"
    made[daemon]+=" $(cat "$work/requests")"
done
# It looks more or less often, depending on the events.
set -- ${made[daemon]}
echo "daemon: $1, $2, $3 requests with 10, 60, 110 channels"
[ $(($3 / 110)) -le $(($2 / 60 * 5 / 4)) ] || fail "daemon: it grows"

# at STEP CMD…: before that step of xl-vchan, runs $meanwhile, which does not know its locks. The
# exit codes are in $code and $other. Returns false if there are fewer steps.
at() {
    local step=$1
    shift
    rm -f "$work/reached"
    LD_PRELOAD=$LD_PRELOAD:$PWD/tests/programs/.libs/at-step.so AT_STEP_OUTER=1 AT_STEP=$step AT_STEP_FILE=$work/reached \
        AT_STEP_DO="xl-vchan --state-dir $work/other $meanwhile 2> $work/other.err; echo \$? > $work/other.code" \
        timeout 60 xl-vchan "$@" 2> "$work/err"
    code=$?
    other=$(cat "$work/other.code")
    [ -e "$work/reached" ]
}
channels() { xl-vchan list --json | sed -n 's/^ \{4\}"name":"\(.*\)",/\1/p' | sort | tr '\n' ' '; }

part "another attaches one of the same name meanwhile"
config 4
run 0 xl create -q "$work/0.cfg"
meanwhile="attach web name=c3"
seen=()
for ((step = 1; ; step++)); do
    at $step apply --quiet "$work/4.cfg" || break
    case $code,$other in
    0,1) [ "$(channels)" = "c1 c2 c3 c4 " ] || fail "step $step: $(channels)" ;;
    1,0) [ "$(channels)" = "c3 " ] || fail "step $step: $(channels)" ;;
    *) fail "step $step: exit codes $code and $other" ;;
    esac
    seen[code]=$step
    grep -hq 'channel "c3": the domain already has a channel of that name' "$work/err" "$work/other.err" ||
        fail "step $step: complained: $(cat "$work/err" "$work/other.err")"
    run 0 xl-vchan apply --quiet "$work/0.cfg"
done
[ ${#seen[@]} = 2 ] || fail "only $step steps"
run 0 xl-vchan apply --quiet "$work/0.cfg"

part "another attaches the same one from the other side"
printf 'name = "two"\nmemory = 64\nkernel = "/none"\n' > "$work/two.cfg"
run 0 xl create -q "$work/two.cfg"
meanwhile="attach two name=x,backend=web"
seen=()
for ((step = 1; ; step++)); do
    at $step attach web name=x,backend=two || break
    [ $((code + other)) = 1 ] || fail "step $step: exit codes $code and $other: $(xl-vchan list)"
    seen[code]=$step
    grep -hq 'already has it, with domain' "$work/err" "$work/other.err" ||
        fail "step $step: complained: $(cat "$work/err" "$work/other.err")"
    run 0 xl-vchan detach "$([ $code = 0 ] && echo web || echo two)" x
done
[ ${#seen[@]} = 2 ] || fail "only $step steps"
run 0 xl-vchan detach web x
run 0 xl destroy two
run 0 xl destroy web
finish
