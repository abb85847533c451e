/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of files that a service was given by a caller with another working directory. */
#ifndef STATE_PATH_H
#define STATE_PATH_H

/*
 * Returns the absolute path of a file or directory, which need not exist; the caller frees it.
 * NULL: the working directory is not known, or out of memory; then errno is set.
 */
char *path_absolute(const char *name);

#endif
