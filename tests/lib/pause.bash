# SPDX-License-Identifier: LGPL-2.1-or-later
# pause [SECONDS]: waits that long (0.05) without a new process, which would cost more than the
# check that a poll makes. It reads from a pipe into which nothing is written.
exec {never}<> <(:)
pause() { read -rt "${1:-0.05}" -u "$never" || true; }
