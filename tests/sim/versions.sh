#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend gets what a process of a later version kept: it refuses in one line, and neither
# closes nor drops any of it, so that such a process can still have it. What has no version is taken
# over.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# started NAMES [FD…]: starts vchan-backend as the successor of a process that kept these
# descriptors by these names (separated by spaces). Its exit code, log and messages to the manager
# are in $code, $log and $told.
started() {
    local names=$1 kept name
    shift
    : > "$work/kept"
    for name in $names; do
        echo "$1 1 $name" >> "$work/kept"
        shift
    done
    exec {kept}< "$work/kept"
    datagrams "$work/notify" "$work/told"
    PVCHAN_KEPT=$kept NOTIFY_SOCKET=$work/notify timeout 100 vchan-backend 2> "$work/log"
    code=$?
    exec {kept}<&-
    socat -u - "UNIX-SENDTO:$work/notify" <<< "the end"
    told "$work/told" "the end"
    kill "$receiver"
    wait "$receiver" 2> /dev/null
    rm -f "$work/notify"
    log=$(cat "$work/log")
    told=$(cat "$work/told")
}
# refuses WHAT: it refused with that one line, and gave nothing up.
refuses() {
    local line="cannot take over from the previous process: its $1 (start the program that left it, or stop the service to discard it)"
    [ "$code" = 1 ] || fail "exit code $code"
    [[ $log == *"$line" && $(wc -l < "$work/log") = 1 ]] || fail "the log: $log"$'\n'"    not $line"
    [ "$told" = "the end" ] || fail "the manager is told: $told"
}
mkfifo "$work/pipe"
exec {pipe}<> "$work/pipe"

part "names of another version"
started "1/0.to v1.1/0.socket v2.1/1.socket" $pipe $pipe $pipe
refuses "set of descriptors has version 2, not 1"

part "a holder of another version: its socket stays open"
cat > "$work/holder.py" << 'PYTHON'
import os, socket, subprocess, sys, threading
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
heard = []
def serve():
    while True:
        message = ours.recv(4096)
        if not message:
            break
        heard.append(message[0])
        ours.send(message[:8] + b"\3\0\0\0" + message[12:]) # the result
thread = threading.Thread(target=serve)
thread.start()
code = subprocess.call(sys.argv[1:2] + [str(theirs.fileno())], pass_fds=[theirs.fileno()], timeout=500)
alive = thread.is_alive()
theirs.shutdown(socket.SHUT_WR)
thread.join(100)
print("heard", heard, "alive", alive)
PYTHON
export -f started datagrams told fail
export work
printf '#!/bin/bash\nstarted holder.socket "$1"\necho "$code" > "$work/code"\n' > "$work/with-holder"
chmod +x "$work/with-holder"
out=$(timeout 500 python3 "$work/holder.py" "$work/with-holder")
says "heard [3] alive True"
code=$(cat "$work/code")
log=$(cat "$work/log")
told=$(cat "$work/told")
refuses "vchan-holder has version 3, not 2"

part "a holder of version 1: its rings are asked for once, and given up where no device has them"
cat > "$work/earlier.py" << 'PYTHON'
import os, socket, struct, subprocess
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
ADD, DROP, LIST, GET_VERSION, ENOSYS = 0, 1, 2, 3, -38
def message(request, tag, result, owner):
    return struct.pack("=IIi32s4I", request, tag, result, owner, 9, 8, 7, 0)
kept = os.memfd_create("kept", 0)
os.write(kept, b"%d 1 holder.socket\n" % theirs.fileno())
os.lseek(kept, 0, os.SEEK_SET)
child = subprocess.Popen(["vchan-backend"], pass_fds=[theirs.fileno(), kept],
                         env={**os.environ, "PVCHAN_KEPT": str(kept), "NOTIFY_SOCKET": "@nobody-listens"})
theirs.close()
ours.settimeout(100)
heard = []
while request := ours.recv(4096):
    kind, tag, _, owner = struct.unpack("=IIi32s", request[:44])
    heard.append((kind, owner.rstrip(b"\0").decode()))
    if kind == LIST:
        ours.send(message(ADD, tag, 0, b"9/9"))
    ours.send(message(kind, tag, ENOSYS if kind == GET_VERSION else 0, owner))
    if kind == DROP:
        child.terminate()
ours.close()
print(heard, child.wait(100))
PYTHON
out=$(timeout 500 python3 "$work/earlier.py" 2> "$work/log")
says "[(3, ''), (2, ''), (1, '9/9')] 0"

part "without a version: it goes on"
head -c 20 /dev/zero > "$work/journal"
exec {journal}<> "$work/journal"
started_once() {
    : > "$work/kept"
    echo "$pipe 1 1/0.to" > "$work/kept"
    echo "$journal 1 1/0.journal" >> "$work/kept"
    exec {kept}< "$work/kept"
    exec {log}< <(PVCHAN_KEPT=$kept exec vchan-backend -v 2>&1)
    backend=$!
    exec {kept}<&-
}
started_once
backend_ready
backend_stop
finish
