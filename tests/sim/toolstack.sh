#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan as a whole, on a simulated host, where a few lines of shell play the backend.
set -u

if [ -z "${XENSIM_DIR:-}" ]; then
    [ -x ./xensim ] || { echo "no xensim here"; exit 77; }
    exec timeout -k 10 900 ./xensim run -- "$0"
fi

PATH=$PWD:$PATH
work=$(mktemp -d)
failures=0

fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
snapshot() { xenstore-ls -fp | sort; }

# run CODE CMD...: it exits with CODE. Its output is in $out.
run() {
    local code=$1
    shift
    out=$("$@" 2>&1)
    local got=$?
    [ "$got" = "$code" ] || fail "$*: exit code $got instead of $code: $out"
}

# says TEXT: the last run printed exactly this.
says() { [ "$out" = "$1" ] || fail "said: $out"$'\n'"    not: $1"; }
contains() { [[ $out == *"$1"* ]] || fail "said: $out"$'\n'"without: $1"; }
is() { [ "$1" = "$2" ] || fail "it is \"$1\", not \"$2\"${3:+: $3}"; }

# unchanged BEFORE WHEN: the whole xenstore is as before.
unchanged() {
    diff <(echo "$1") <(snapshot) > "$work/diff" || fail "$2 xenstore differs: $(cat "$work/diff")"
}

# refuses TEXT CMD...: it fails, reports exactly this, and changes nothing.
refuses() {
    local text=$1 before
    shift
    before=$(snapshot)
    run 1 "$@"
    says "xl-vchan: $text"
    unchanged "$before" "after $*"
}

# watch PATH: its events come from descriptor $events. The first one has come already, so none will
# be missed.
watch() {
    exec {events}< <(exec xenstore-watch "$1")
    watcher=$!
    read -r -u "$events"
}
watch_end() {
    kill "$watcher"
    exec {events}<&-
}

# A backend in domain 0: takes each device that appears, unless an application must take it, or
# refuses it if $work/refuse exists; closes each that must be closed. It has the service's lock.
serve() {
    while read -r -u "$events" path; do
        [[ $path == */state ]] || continue
        case $(xenstore-read "${path%state}connection" "$path" 2> /dev/null) in
        app$'\n'*) ;;
        *$'\n'1) if [ -e "$work/refuse" ]; then
            xenstore-write "${path%state}error" "no socket" "$path" 6
        else
            xenstore-write "$path" 2
        fi ;;
        *$'\n'5) xenstore-write "$path" 6 ;;
        esac
    done
}
backend_start() {
    mkdir -p /run/pvchan
    exec {locked}< <(exec flock -F /run/pvchan/vchan-backend sh -c 'echo; exec tail -f /dev/null')
    lock=$!
    read -r -u "$locked"
    watch /local/domain/0/backend/vchan
    serve &
    backend=$!
}
backend_stop() {
    kill "$backend" "$lock"
    wait "$backend" "$lock" 2> /dev/null
    exec {locked}<&-
    watch_end
}

config() { cat > "$work/$1.cfg"; }

echo "--- create"
empty=$(snapshot)
config web << EOF
name = "web"
memory = 64
kernel = "/dev/null"
vchan = [ "name=org.example.db, connection=connect, path=/run/db.sock, ring=5000",
          "name=org.example.app, ring=1K, devid=7" ]
EOF
backend_start
run 0 xl-vchan create "$work/web.cfg"
within 30 kernel_is_up web
web=$(xl domid web)
B=/local/domain/0/backend/vchan/$web F=/local/domain/$web/device/vchan T=/libxl/$web/device/vchan

run 0 xl-vchan list web
says "Idx BE       Name            FE/BE state               evt-ch ring-ref r/w-ring BE-path
0   Domain-0 org.example.db  Initialising/InitWait     -      -        8K/8K    $B/0
7   Domain-0 org.example.app Initialising/Initialising -      -        1K/2K    $B/7"
[[ $(xl list web) != *--p--* ]] || fail "still paused: $(xl list web)"

echo "--- nodes and permissions"
is "$(xenstore-ls -fp "$F/0")" "$F/0/backend = \"$B/0\"   (n0,r$web)
$F/0/backend-id = \"0\"   (n0,r$web)
$F/0/name = \"org.example.db\"   (n0,r$web)
$F/0/read-ring = \"8192\"   (n0,r$web)
$F/0/write-ring = \"8192\"   (n0,r$web)
$F/0/state = \"1\"   (n$web,r0)"
is "$(xenstore-ls -fp "$B/0")" "$B/0/frontend = \"$F/0\"   (n0,r$web)
$B/0/frontend-id = \"$web\"   (n0,r$web)
$B/0/online = \"1\"   (n0,r$web)
$B/0/connection = \"connect\"   (n0,r$web)
$B/0/name = \"org.example.db\"   (n0,r$web)
$B/0/read-ring = \"8192\"   (n0,r$web)
$B/0/write-ring = \"8192\"   (n0,r$web)
$B/0/private = \"\"   (n0)
$B/0/private/path = \"/run/db.sock\"   (n0)
$B/0/private/reconnect = \"0\"   (n0)
$B/0/state = \"2\"   (n0,r$web)"
is "$(xenstore-ls -fp "$T/0" | sed 's/.*(//' | sort -u)" "n0)"
is "$(xenstore-read "$T/0/frontend" "$T/0/backend" "$T/0/private/path")" "$F/0
$B/0
/run/db.sock"
run 0 xensim exec web xenstore-read "$B/0/connection"
says connect
run 0 xensim exec web xenstore-read device/vchan/0/name
for node in private private/path private/reconnect; do
    run 1 xensim exec web xenstore-read "$B/0/$node"
done
run 1 xensim exec web xenstore-ls "$B/0/private"
run 1 xensim exec web xenstore-ls "$T/0"

echo "--- attach and detach"
before=$(snapshot)
run 0 xl-vchan attach web name=tap "connection=exec" user=root 'command=awk -F, "{ a = 1, b }"'
says ""
run 0 xenstore-read "$B/1/private/command"
says 'awk -F, "{ a = 1, b }"'
run 0 xl-vchan list --json web
json=${out//[$' \n']/}
for text in '"name":"tap"' "\"domid\":$web,\"devid\":1" '"backend_state":"InitWait"' \
    '"ring_ref":null' '"read_ring":65536' '"online":true' "\"backend_path\":\"$B/1\""; do
    [[ $json == *"$text"* ]] || fail "JSON without $text: $out"
done
run 0 xl-vchan detach web tap
says ""
unchanged "$before" "after attach and detach"
run 0 xl-vchan attach --wait 60 "$web" "name=tap, connection=echo, devid=9"
run 0 xl-vchan detach web 9
unchanged "$before" "after detach by devid"
run 0 xl-vchan detach web org.example.app # no backend took it, so none has to close it
run 0 xl-vchan attach web name=org.example.app,ring=1K,devid=7
unchanged "$before" "after detach and attach"

echo "--- leftovers of a backend"
xenstore-write "$B/1/junk" "" "$B/3/state" 4 "$B/3/private/path" /old
run 0 xl-vchan attach web name=new, connection=echo
run 1 xenstore-read "$B/1/frontend" # it got devid 2
run 0 xl-vchan attach web name=newer,connection=echo,devid=3
run 1 xenstore-read "$B/3/private/path"
run 0 xl-vchan detach web new
run 0 xl-vchan detach web newer
run 0 xl-vchan list web
contains "
1   Domain-0 -               -/-"
run 0 xl-vchan detach --force web 1
unchanged "$before" "after leftovers"

echo "--- many at once"
pids=()
for i in {1..20}; do
    xl-vchan attach --wait 60 web "name=many.$i,connection=echo" &
    pids+=($!)
    xl-vchan attach --wait 60 web "name=one,connection=echo" 2> "$work/one.$i" &
    pids+=($!)
done
wait "${pids[@]}"
is "$(xl-vchan list web | grep -c 'many.*/InitWait')" 20 "channels at once"
is "$(cat "$work"/one.* | sort | uniq -c | tr -s ' ')" \
    ' 19 xl-vchan: attach web: channel "one": the domain already has a channel of that name'
pids=()
for i in {1..20}; do
    xl-vchan detach --wait 60 web "many.$i" &
    pids+=($!)
done
wait "${pids[@]}"
run 0 xl-vchan detach web one
unchanged "$before" "after many"

echo "--- refusals"
refuses 'attach web: channel "org.example.db": the domain already has a channel of that name' \
    xl-vchan attach web name=org.example.db
refuses 'attach web: channel "x": devid 7 is taken by channel "org.example.app"' \
    xl-vchan attach web name=x devid=7
refuses 'attach web: channel "x": key "backend": there is no domain "nowhere"' \
    xl-vchan attach web name=x backend=nowhere
refuses 'attach web: channel "x": key "backend": there is no domain "77"' \
    xl-vchan attach web name=x,backend=77
refuses 'attach web: channel "x": key "backend": domain "web" would be both ends (name another domain)' \
    xl-vchan attach web name=x backend=web
refuses 'attach 77: there is no such domain' xl-vchan attach 77 name=x
refuses 'attach nowhere: there is no such domain' xl-vchan attach nowhere name=x
refuses 'attach web: key "ring": 3G is larger than 1M (use at most ring=1M)' \
    xl-vchan attach web name=x ring=3G
refuses 'attach web: key "user": missing (connection=exec needs it: the user that runs the command, such as user=nobody; for root, write user=root)' \
    xl-vchan attach web name=x connection=exec command=id
refuses "attach web: key \"command\": takes everything after it, including \"user=\" (write user= before command=; if it belongs to the command, write ''user=)" \
    xl-vchan attach web name=x connection=exec user=root "command=logger, user=nobody"
refuses 'attach web: "-t" follows command=, which must come last (quote a command that contains spaces)' \
    xl-vchan attach -- web name=x,connection=exec,user=root,command=logger -t web
run 2 xl-vchan attach web name=x connection=exec user=root command=logger -t web
contains 'xl-vchan: attach: "-t" follows command=, which must come last (quote a command that contains spaces) (usage: '
refuses 'attach web: "user=nobody" follows command=, which must come last (quote a command that contains spaces)' \
    xl-vchan attach web name=x connection=exec user=root command=logger user=nobody
for option in "create --wait" "attach --wait" "detach --wait" "apply --wait" "watch --timeout" "wait --timeout"; do
    for seconds in 1s 0.1234 -1; do
        run 2 xl-vchan $option $seconds web x
        contains "xl-vchan: ${option% *}: ${option#* } \"$seconds\": expected a number of seconds, such as 10 or 0.5, or inf (usage: "
    done
done
refuses 'detach web: there is no channel "x" (see xl-vchan list)' xl-vchan detach web x
refuses 'detach nowhere: there is no such domain' xl-vchan detach nowhere x
refuses 'list nowhere: there is no such domain' xl-vchan list nowhere
refuses 'list 77: there is no such domain' xl-vchan list 77
refuses "create $work/web.cfg: domain \"web\" already exists" xl-vchan create "$work/web.cfg"
config bad << EOF
name = "bad"
vchan = [ "name=a",
          "name=b, ring=3G" ]
EOF
refuses "$work/bad.cfg:3: vchan entry 2: key \"ring\": 3G is larger than 1M (use at most ring=1M)" \
    xl-vchan create "$work/bad.cfg"
config bad <<< 'name = "bad"; vchan = [ "name=a, backend=nowhere" ]'
refuses "create $work/bad.cfg: channel \"a\": key \"backend\": there is no domain \"nowhere\"" \
    xl-vchan create "$work/bad.cfg"
config bad <<< 'name = "bad"; memory = 64
vchans = [ "name=a" ]'
refuses "$work/bad.cfg:2: vchans: unknown (write vchan = [ \"name=NAME, ...\" ])" xl-vchan create "$work/bad.cfg"
config bad <<< 'vchan = [ "name=a" ]'
refuses "$work/bad.cfg: the domain has no name (add name=\"NAME\")" xl-vchan create "$work/bad.cfg"

echo "--- a backend that is not there"
backend_stop
nobody="no vchan-backend runs in Domain-0 (systemctl start vchan-backend)"
run 0 xl-vchan list web
contains "$B/0
    no process serves it now: $nobody
7 "
run 0 xl-vchan show web org.example.app
contains "hint            waiting for a program in Domain-0 to open it"
run 3 xl-vchan wait --timeout 0 web org.example.db
says "xl-vchan: wait web: channel \"org.example.db\": not Connected in time (it is Initialising/InitWait): no process serves it now: $nobody"
config late <<< 'name = "late"; memory = 64; kernel = "/dev/null"'
refuses "attach web: channel \"x\": waiting up to 0.5 s: $nobody
xl-vchan: attach web: channel \"x\": no backend took it within 0.5 s: $nobody" \
    xl-vchan attach --wait 0.50 web name=x,connection=echo
before=$(snapshot)
run 1 xl-vchan create --wait 0.25 "$work/late.cfg" 'vchan=["name=a","name=x,connection=echo"]'
contains 'channel "x": no backend took it within 0.25 s: no vchan-backend runs in Domain-0 (systemctl start vchan-backend)'
unchanged "$before" "after a failed create"
run 1 xl domid late
run 1 xl-vchan create "$work/late.cfg" 'type="banana"'
contains "xl-vchan: create $work/late.cfg: xl create failed with exit code 1 (its own message is above)"
unchanged "$before" "after a failed xl create"

echo "--- a ^C while it waits"
# interrupt: interrupts the command that runs as $pid, and checks what it then prints and leaves.
interrupt() {
    kill -INT "$pid"
    [ -z "${1:-}" ] || echo > "$1"
    wait "$pid"
    is $? 1 "exit code after SIGINT"
    grep -q ': interrupted$' "$work/out" || fail "said: $(cat "$work/out")"
    unchanged "$before" "after a ^C in create"
}
watch /libxl
env --default-signal=INT xl-vchan create "$work/late.cfg" 'vchan=["name=x,connection=echo"]' > "$work/out" 2>&1 &
pid=$!
timeout 60 grep -qm 1 'device/vchan/0/name$' <&"$events"
watch_end
interrupt

echo "--- a ^C while xl runs"
mkfifo "$work/started" "$work/go"
cat > "$work/xl" << EOF
#!/bin/sh
echo > "$work/started"
read line < "$work/go"
exec "$(command -v xl)" "\$@"
EOF
chmod +x "$work/xl"
PATH=$work:$PATH env --default-signal=INT xl-vchan create "$work/late.cfg" > "$work/out" 2>&1 &
pid=$!
read -r < "$work/started"
interrupt "$work/go"

echo "--- a backend that hangs, refuses, or is gone"
run 1 xl-vchan detach --wait 1.125 web org.example.db
says 'xl-vchan: detach web: channel "org.example.db": the backend did not close it within 1.125 s: no vchan-backend runs in Domain-0 (systemctl start vchan-backend); --force removes it anyway'
is "$(xenstore-read "$B/0/online" "$B/0/state")" "0"$'\n'"5"
run 0 xl-vchan list web
contains "
    being unplugged, but not closed: $nobody"
run 0 xl-vchan detach --force web org.example.db
run 1 xenstore-ls "$B/0"
run 1 xenstore-ls "$T/0"
touch "$work/refuse"
backend_start
refuses 'attach web: channel "x": the backend in Domain-0 refuses it: no socket' \
    xl-vchan attach web name=x,connection=connect,path=/none
backend_stop
rm "$work/refuse"

echo "--- what is odd is shown"
xenstore-write "$F/7/state" banana "$B/7/state" 99 "$B/7/error" $'bad \e[31mred'
xenstore-rm "$F/7/read-ring"
run 0 xl-vchan list
says "Domain Idx BE       Name            FE/BE state evt-ch ring-ref r/w-ring BE-path
web    7   Domain-0 org.example.app ?banana/?99 -      -        -/2K     $B/7
    backend: bad ?[31mred"
xenstore-rm "$F/7/state"
run 0 xl-vchan list web
contains "
    only part of it is left (xl-vchan detach --force $web 7 removes it)"
run 0 xl destroy web
run 0 xl-vchan list
says "Domain Idx BE       Name            FE/BE state evt-ch ring-ref r/w-ring BE-path
$web      7   Domain-0 org.example.app -/?99       -      -        -/-      $B/7
    backend: bad ?[31mred
    its domain is gone (xl-vchan detach $web 7 removes what is left)"
run 0 xl-vchan detach --force "$web" org.example.app
unchanged "$empty" "at the end"

echo "--- guest to guest, names with blanks"
backend_start
config one <<< 'name = "guest one"; memory = 64; kernel = "/dev/null"'
config two <<< 'name = "guest two"; memory = 64; kernel = "/dev/null"; vchan = [ "name=a, backend=guest one" ]'
run 0 xl create "$work/one.cfg"
run 0 xl-vchan create -p "$work/two.cfg"
one=$(xl domid "guest one") two=$(xl domid "guest two")
run 0 xl-vchan list "guest two"
contains "0   guest one a    Initialising/Initialising -      -        64K/64K  /local/domain/$one/backend/vchan/$two/0"
run 0 xensim exec "guest one" xenstore-read "backend/vchan/$two/0/private"
run 1 xensim exec "guest one" xenstore-write "backend/vchan/$two/0/private/path" /x
is "$(xenstore-ls -fp "/local/domain/$one/backend/vchan" | grep "(n$one," | sed 's/ .*//')" \
    "/local/domain/$one/backend/vchan/$two/0
/local/domain/$one/backend/vchan/$two/0/state"
run 0 xl unpause "guest two"
run 1 xensim exec "guest two" xenstore-read "/local/domain/$one/backend/vchan/$two/0/private"
run 0 xensim exec "guest one" xenstore-write "backend/vchan/$two/0/state" 2
run 0 xl destroy "guest one"
run 0 xl-vchan detach "guest two" a # there is no backend to close it
run 0 xl destroy "guest two"

echo "--- a domain that would be its own backend"
config self <<< 'name = "self"; memory = 64; kernel = "/dev/null"; vchan = [ "name=a, backend=self" ]'
run 1 xl-vchan create "$work/self.cfg"
contains 'channel "a": key "backend": domain "self" would be both ends (name another domain)'

echo "--- domain 0 as a frontend; a name that is not ASCII"
config one <<< 'name = "gäst"; memory = 64; kernel = "/dev/null"'
run 0 xl create "$work/one.cfg"
one=$(xl domid gäst)
run 0 xl-vchan attach 0 name=x,backend="$one"
run 0 xl-vchan attach "$one" name=y
run 0 xl-vchan list
[ "$(sed 's/Initialising.*/+/; s/FE.*/+/' <<< "$out" | python3 -c 'import sys
print(len({len(line) for line in sys.stdin.buffer.read().decode().splitlines()}))')" = 1 ] || fail "columns: $out"
run 0 xl-vchan detach "$one" y
run 0 xl-vchan detach 0 x
run 0 xl destroy gäst
backend_stop
unchanged "$empty" "at the end"

rm -r "$work"
[ "$failures" = 0 ] || { echo "$failures failures"; exit 1; }
echo "all as expected"
