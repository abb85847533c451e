/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Put before each file of a build with --enable-coverage: gcov's counts are written at exit(), and
 * children that end with _exit() shall write theirs, too.
 */
#ifndef PVCHAN_COVERAGE_H
#define PVCHAN_COVERAGE_H

#include <unistd.h>

void __gcov_dump(void);

#define _exit(status) (__gcov_dump(), _exit(status))

#endif
