# SPDX-License-Identifier: LGPL-2.1-or-later
# Checks of the tree and of what is installed.
# Sanitizers find nothing in them: of programs they run xl-vchan's help, again and again.
TREE_TESTS = tests/tree/circles.sh tests/tree/citations.sh tests/tree/completion.sh \
	tests/tree/debian.sh tests/tree/errno.sh tests/tree/hardened.sh \
	tests/tree/include-graph.sh tests/tree/installed.sh tests/tree/manual-keys.sh \
	tests/tree/names.sh tests/tree/offsets.sh tests/tree/verdict.sh
if !ASAN
TESTS += $(TREE_TESTS)
endif
EXTRA_DIST += $(TREE_TESTS)
