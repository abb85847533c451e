#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan diff and apply: which differences there are; all of them are applied, or none.
. "$(dirname "$0")/../lib/sim-lib.bash"

snapshot() { xenstore-ls -fp | sort; }
config() {
    local name=$1 entries=()
    shift
    [ $# = 0 ] || printf -v entries '"%s",' "$@"
    printf 'name = "%s"\nmemory = 64\nkernel = "/none"\nvchan = [ %s ]\n' "$name" "${entries[*]}" \
        > "$work/$name.cfg"
}
cfg=$work/web.cfg
apply() { run 0 xl-vchan apply "$@" "$cfg"; }
# settled: the file and the domain agree, in xenstore and in the record.
settled() {
    run 0 xl-vchan diff "$cfg"
    says ""
    before=$(snapshot)
    apply
    says ""
    same_text "apply of nothing: xenstore" "$before" "$(snapshot)"
}

backend_start
backend_ready
clean=$(snapshot)
domain logger
domain web "name=db, connection=echo" "name=log, backend=logger" "name=old"
settled

part "attach, detach, change"
config web "name=db, connection=echo, ring=128K" "name=log, backend=logger" \
    "name=new, connection=exec, user=root, command=cat"
run 3 xl-vchan diff "$cfg"
says "~ name=db: read-ring: 64K -> 128K, write-ring: 64K -> 128K
+ name=new,connection=exec,user=root,command=cat
- name=old,devid=2"
run 3 xl-vchan diff --json "$cfg"
[[ ${out//[$' \n']/} == '[{"name":"db","declared":"name=db,devid=0,ring=128K,connection=echo","present":"name=db,devid=0,connection=echo"},'* ]] ||
    fail "JSON: $out"
before=$(snapshot)
apply --dry-run
[[ $out == *"- name=old,devid=2" ]] || fail "dry run: $out"
same_text "the dry run: xenstore" "$before" "$(snapshot)"
log=/local/domain/$(xl domid logger)/backend/vchan/$(xl domid web)/1
exec {touched}< <(exec xenstore-watch "$log")
watcher=$!
read -r -u "$touched"
apply
[[ $out == *"+ name=new,connection=exec,user=root,command=cat"* ]] || fail "apply: $out"
settled
run 0 xl-vchan show web db
[[ $out == *"read ring       128K"* ]] || fail "show: $out"
xenstore-write "$log/mark" 1
read -r -t 30 -u "$touched" path
[ "$path" = "$log/mark" ] || fail "a channel that is as declared was touched: $path"
xenstore-rm "$log/mark"
kill "$watcher"
exec {touched}<&-

part "a command that an older toolstack plugged without a user is plugged anew"
xenstore-rm "$(xenstore-ls -f /libxl | sed -n 's|\(.*/private/user\) = .*|\1|p')"
run 3 xl-vchan diff "$cfg"
says "~ name=new: user: - -> root"
apply
settled

part "each key makes a channel new"
for spec in "name=db, connection=socket, path=$work/a.sock" "name=db, connection=socket, path=$work/b.sock" \
    "name=db, connection=socket, path=$work/b.sock, reconnect=0" "name=db, backend=logger" \
    "name=db, devid=7" "name=db, connection=exec, user=root, command=cat" "name=db, connection=exec, user=root, command=cat -u" \
    "name=db, read-ring=4K" "name=db, write-ring=4K"; do
    config web "$spec" "name=log, backend=logger"
    run 3 xl-vchan diff "$cfg"
    apply --quiet
    says ""
    settled
done

part "two channels change places"
config web "name=a, devid=3" "name=b, devid=4"
apply
config web "name=a, devid=4" "name=b, devid=3"
apply
says "~ name=a: devid: 3 -> 4
~ name=b: devid: 4 -> 3"
settled

part "the other domain, given by name"
run 0 xl-vchan diff "$work/logger.cfg"
run 0 xl-vchan apply "$work/logger.cfg" logger
run 3 xl-vchan diff "$cfg" logger
says "+ name=a,devid=4
+ name=b,devid=3"

# refuses TEXT: apply fails, reports exactly this, and everything is as before.
refuses() {
    before=$(snapshot)
    run 1 xl-vchan apply --quiet --wait 1 "$cfg"
    complains "xl-vchan: $1"
    same_text "the failed apply: xenstore" "$before" "$(snapshot)"
    run 0 xl-vchan diff "$work/good.cfg"
}

part "failures leave what there was"
config web "name=db, connection=echo" "name=log, backend=logger"
apply
cp "$cfg" "$work/good.cfg"
config web "name=db, connection=echo, ring=4K" "name=x, backend=nowhere"
refuses "apply $cfg: channel \"x\": key \"backend\": there is no domain \"nowhere\""
config web "name=db, ring=3G"
refuses "$cfg:4: vchan entry 1: key \"ring\": 3G is larger than 1M (use at most ring=1M)"
run 0 xl-vchan attach logger "name=both, backend=web"
config web "name=db, connection=echo, ring=4K" "name=both, backend=logger"
run 1 xl-vchan apply --quiet "$cfg"
complains "xl-vchan: apply $cfg: channel \"both\": domain $(xl domid logger) already has it, with domain $(xl domid web) as its backend (declare it on one side only)"
run 0 xl-vchan wait --timeout 60 web db InitWait
run 0 xl-vchan diff "$work/good.cfg"
run 0 xl-vchan detach logger both
config web "name=db, connection=echo" "name=log, backend=logger" "name=x, backend=logger, connection=echo"
refuses "apply $cfg: channel \"x\": no backend took it within 1 s: no vchan-backend seems to run in logger (systemctl start vchan-backend there)"
config nobody "name=x"
run 1 xl-vchan apply "$work/nobody.cfg"
complains "xl-vchan: apply $work/nobody.cfg: there is no domain \"nobody\" (create it with xl-vchan create)"
for command in diff apply; do
    run 1 xl-vchan $command <(echo 'name = "web"')
    [[ $err == *": no vchan= key (write vchan = [ ] for no channels)" ]] || fail "$err"
done
echo 'vchan = []' > "$work/nameless.cfg"
run 1 xl-vchan diff "$work/nameless.cfg"
complains "xl-vchan: diff $work/nameless.cfg: the file has no name= (give a DOMAIN)"

part "a backend that does not let go"
config web "name=db, connection=echo, ring=4K" "name=log, backend=logger"
mkfifo "$work/in"
freeze "$backend"
run 1 xl-vchan apply --wait 1 "$cfg"
says "" # nothing was done
complains "xl-vchan: apply $cfg: channel \"db\": the backend did not close it within 1 s: vchan-backend in Domain-0 is stopped (kill -CONT $backend); --force removes it anyway"
kill -CONT "$backend"
run 0 xl-vchan wait --timeout 60 web db InitWait
run 0 xl-vchan diff "$work/good.cfg"
run 0 xl-vchan list web
[[ $out != *$'\n    '* ]] || fail "list finds fault: $out"

part "a backend that does not let go, while the channel is in use"
in_domain web vchan cat db < "$work/in" > "$work/out" 2>&1 &
cat=$!
exec {in}> "$work/in"
run 0 xl-vchan wait --timeout 60 web db
freeze "$backend"
run 1 xl-vchan apply --wait 1 "$cfg"
kill -CONT "$backend"
exec {in}>&-
wait "$cat"
run 0 xensim exec web vchan cat db <<< "again"
says "again"
run 0 xl-vchan diff "$work/good.cfg"
apply --quiet --force
settled

part "four at once, ten times"
config web "name=db, connection=echo, ring=4K" "name=a" "name=b"
sed 's/name=a/name=c/; s/4K/8K/' "$cfg" > "$work/rival.cfg"
for i in {1..10}; do
    pids=()
    for file in "$cfg" "$work/rival.cfg" "$cfg" "$work/rival.cfg"; do
        xl-vchan apply --quiet "$file" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "apply: exit code $?"
    done
    xl-vchan diff "$cfg" > "$work/out" || xl-vchan diff "$work/rival.cfg" > "$work/out" ||
        fail "it is neither: $(xl-vchan list)"
done

part "killed at 20 moments: the next one puts it right"
every=1
[ -z "${SANITIZED:-}" ] || every=4 # sanitizers see nothing in a process that is killed
for ((i = 0; i < 20; i += every)); do
    cp "$cfg" "$work/rival.cfg.new"
    mv "$work/rival.cfg" "$cfg"
    mv "$work/rival.cfg.new" "$work/rival.cfg"
    xl-vchan apply --quiet "$cfg" &
    pid=$!
    pause "0.0$((i / 4))$((i % 4 * 2))"
    kill -KILL "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
    apply --quiet
    settled
done

part "the end"
run 0 xl-vchan apply --quiet /dev/stdin web <<< 'vchan = []'
run 0 xl destroy web
run 0 xl destroy logger
same_text "what is left: xenstore" "$clean" "$(snapshot)"
backend_stop
finish
