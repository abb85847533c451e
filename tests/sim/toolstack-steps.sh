#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan with a fault at every step that it takes: xenstore or the disk is full, it is killed, the
# domain is destroyed. What was there stays, or the next command repairs it.
. "$(dirname "$0")/../lib/sim-lib.bash"

export PVCHAN_STATE_DIR=$work/state
snapshot() { xenstore-ls -fp | sort; }
# The devid may be missing in a record.
records() { grep -s . "$PVCHAN_STATE_DIR"/*.cfg* | sed 's/,devid=[0-9]*//'; }
channels() { xl-vchan list --json web | grep -c '"domid"'; }

# at STEP DO CMD…: DO happens at that step of xl-vchan. Its exit code is in $code. Returns false if
# there are fewer steps.
at() {
    local step=$1 what=$2 preload=$LD_PRELOAD:$PWD/tests/programs/.libs/at-step.so
    shift 2
    : > "$work/reached"
    out=$(LD_PRELOAD=$preload AT_STEP=$step AT_STEP_DO=$what AT_STEP_FILE=$work/reached \
        timeout 60 xl-vchan "$@" 2> "$work/err")
    code=$?
    complaint_read
    [ -s "$work/reached" ]
}

# Destroys the domain, and removes what it leaves.
finish_domain() {
    local backend=/local/domain/0/backend/vchan domid devid
    domid=$(xl domid web) && run 0 xl destroy web
    for domid in $(xenstore-list $backend 2> /dev/null); do
        for devid in $(xenstore-list "$backend/$domid"); do
            run 0 xl-vchan detach "$domid" "$devid"
        done
    done
}

# complaint: one line that names the program and the reason.
complaint() {
    [[ $err =~ ^'xl-vchan: '[^$'\n']+$ ]] || fail "step $step: complained: $err"
    case $err in
    *"a xenstore quota is exhausted (raise it, or remove what is not needed)" | \
        *"No space left on device (xl-vchan stores its records there)") ;;
    *) fail "step $step: complained: $err" ;;
    esac
}

ENOSPC=28
backend_start
domain web "name=db, connection=echo" "name=app"
before=$(snapshot) kept=$(records)
cp "$work/web.cfg" "$work/good.cfg"
unchanged() {
    same_text "step $step of $1: xenstore" "$before" "$(snapshot)"
    same_text "step $step of $1: the records" "$kept" "$(records)"
}

# A step that conflicts with another transaction is repeated: the command succeeds, and is then
# undone.
part "no space: attach"
for ((step = 1; ; step++)); do
    at $step $ENOSPC attach web name=x,connection=echo || break
    if [ $code = 0 ]; then run 0 xl-vchan detach web x; else complaint; fi
    unchanged attach
done
[ $step -gt 40 ] || fail "only $step steps"
[ "$(channels)" = 3 ] || fail "$(xl-vchan list)"

part "no space: detach"
for ((step = 1; ; step++)); do
    at $step $ENOSPC detach web x || break
    [ $code = 0 ] || complaint
    [ "$(channels)" = $((code == 0 ? 2 : 3)) ] || fail "step $step of detach: $(xl-vchan list)"
    [ $code != 0 ] || run 0 xl-vchan attach web name=x,connection=echo
done
[ $step -gt 10 ] || fail "only $step steps"
unchanged detach

part "no space: apply"
run 0 xl-vchan apply --quiet "$work/good.cfg"
kept=$(records)
printf 'name = "web"\nvchan = [ "name=db, connection=echo, ring=4K", "name=new" ]\n' > "$work/new.cfg"
for ((step = 1; ; step++)); do
    at $step $ENOSPC apply --quiet "$work/new.cfg" || break
    if [ $code = 0 ]; then run 0 xl-vchan apply --quiet "$work/good.cfg"; else complaint; fi
    run 0 xl-vchan diff "$work/good.cfg"
    same_text "step $step of apply: the records" "$kept" "$(records)"
done
[ $step -gt 60 ] || fail "only $step steps"
run 0 xl-vchan diff "$work/new.cfg"

part "no space: create"
finish_domain
rm "$PVCHAN_STATE_DIR"/*.cfg
before=$(snapshot) kept=$(records)
for ((step = 1; ; step++)); do
    at $step $ENOSPC create "$work/good.cfg" || break
    if [ $code = 0 ]; then
        run 0 xl-vchan diff "$work/good.cfg"
        finish_domain
        rm "$PVCHAN_STATE_DIR"/*.cfg # of its uuid
    else
        [[ $err == *"xl-vchan: create $work/good.cfg: "* ]] || fail "step $step: complained: $err"
        run 1 xl domid web
    fi
    [ "$(echo "$PVCHAN_STATE_DIR"/*)" = "$PVCHAN_STATE_DIR/lock" ] || fail "step $step of create: $(ls "$PVCHAN_STATE_DIR")"
    same_text "step $step of create: xenstore" "$before" "$(snapshot)"
done
[ $step -gt 60 ] || fail "only $step steps"
run 0 xl-vchan diff "$work/good.cfg"

# settled: the record matches what the domain has.
settled() {
    run 0 xl-vchan diff "$(ls "$PVCHAN_STATE_DIR"/*.cfg)" web
    says ""
}

kill='kill -KILL $PPID'
export AT_STEP_OUTER=1
for command in "attach web name=x,connection=echo" "apply --quiet $work/new.cfg" "detach web db"; do
    part "killed: $command"
    for ((step = 1; ; step++)); do
        at $step "$kill" $command || break
        [ $code = 137 ] || fail "step $step: exit code $code"
        run 0 xl-vchan apply --quiet "$work/good.cfg"
        run 0 xl-vchan diff "$work/good.cfg"
        settled
    done
    [ $step -gt 7 ] || fail "only $step steps"
    run 0 xl-vchan apply --quiet "$work/good.cfg"
done
unset AT_STEP_OUTER

part "two applies, an attach and the daemon at once"
xenstore-rm "/libxl/$(xl domid web)/device/vchan" "/local/domain/$(xl domid web)/device/vchan"
xl-vchan daemon --config-dir /none 2> "$work/daemon" &
daemon=$!
run 0 xl-vchan wait --timeout 60 web db InitWait # so it is there
for i in {1..10}; do
    pids=()
    for file in good new; do
        xl-vchan apply --quiet "$work/$file.cfg" &
        pids+=($!)
    done
    xl-vchan attach web "name=x.$i, connection=echo" &
    pids+=($!)
    kill -HUP "$daemon"
    wait "${pids[@]}" || fail "round $i"
    settled
done

part "four that remove the same"
for i in {1..40}; do
    xenstore-write /local/domain/0/backend/vchan/7777/0/state 6 /local/domain/0/backend/vchan/7777/0/name x
    pids=()
    for j in 1 2 3 4; do
        xl-vchan detach --force 7777 0 2> "$work/said.$j" &
        pids+=($!)
    done
    wait "${pids[@]}"
    cat "$work"/said.* >> "$work/said"
done
[ "$(sort -u "$work/said")" = 'xl-vchan: detach 7777: there is no channel "0" (see xl-vchan list)' ] ||
    fail "$(sort "$work/said" | uniq -c)"

part "records that cannot be written"
before=$(snapshot) kept=$(records)
mount -t tmpfs -o size=64k none /mnt || fail "cannot mount"
cp "$PVCHAN_STATE_DIR"/* /mnt
mount -o remount,ro /mnt
for command in "attach web name=x" "detach web db" "apply $work/new.cfg"; do
    run 1 env PVCHAN_STATE_DIR=/mnt xl-vchan $command
    [[ $err == "xl-vchan: "*": cannot write /mnt/lock: Read-only file system (xl-vchan stores its records there)" ]] ||
        fail "complained: $err"
done
umount /mnt
step=0 unchanged "all"

part "destroyed: attach"
run 0 xl destroy web # the daemon removes what it leaves
run 0 xl-vchan watch --timeout 60 --until gone
printf 'name = "web"\nmemory = 64\nkernel = "/none"\n' > "$work/web.cfg"
for ((step = 1; ; step += 3)); do
    run 0 xl create -q "$work/web.cfg"
    at $step "xl destroy web" attach web name=x,connection=echo || break
    [ $code = 0 ] || [[ $err =~ ^'xl-vchan: attach web: '[^$'\n']*(went away|removed it, or its domain|no such domain)$ ]] ||
        fail "step $step: complained: $err"
    run 0 xl-vchan watch --timeout 60 --until gone
    [ -z "$(xl-vchan list | tail -n +2)" ] || fail "step $step: $(xl-vchan list)"
done
[ $step -gt 40 ] || fail "only $step steps"
run 0 xl-vchan detach web x
run 0 xl destroy web
kill "$daemon"
wait "$daemon" || fail "the daemon: $?"

backend_stop
finish
