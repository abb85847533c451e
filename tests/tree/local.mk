# SPDX-License-Identifier: LGPL-2.1-or-later
# Checks of the tree and of what is installed.
TREE_TESTS = tests/tree/completion.sh tests/tree/manual-keys.sh
TESTS += $(TREE_TESTS)

# Tests in which sanitizers can find nothing.
TREE_ONCE_TESTS = tests/tree/circles.sh tests/tree/hardened.sh tests/tree/include-graph.sh \
	tests/tree/installed.sh tests/tree/names.sh
if !ASAN
TESTS += $(TREE_ONCE_TESTS)
endif
EXTRA_DIST += $(TREE_TESTS) $(TREE_ONCE_TESTS)
