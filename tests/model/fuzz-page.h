/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile page (doc/protocol.md, "Hostile peers"): the input is a script of what the peer writes,
 * when (also between any two looks that our code takes), and of our calls. A broken rule aborts.
 */
#ifndef TESTS_MODEL_FUZZ_PAGE_H
#define TESTS_MODEL_FUZZ_PAGE_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's entry. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
