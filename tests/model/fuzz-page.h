/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile page (doc/protocol.md, "Hostile peers"). The input is a script of what the peer writes
 * and when (also between any two accesses of ours), and of our calls. A broken rule aborts.
 */
#ifndef TESTS_MODEL_FUZZ_PAGE_H
#define TESTS_MODEL_FUZZ_PAGE_H

#include <stddef.h>
#include <stdint.h>

/* The entry point of libFuzzer. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
