# SPDX-License-Identifier: LGPL-2.1-or-later
# pause [SECONDS]: waits so long (0.05) without a new process, which would cost more than what a poll looks at. It reads
# from a pipe into which nobody writes.
exec {never}<> <(:)
pause() { read -rt "${1:-0.05}" -u "$never" || true; }
