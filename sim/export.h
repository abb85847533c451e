/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SIM_EXPORT_H
#define SIM_EXPORT_H

/* A function that libxensim.so puts in the place of a library's. */
#define SIM_EXPORT __attribute__((visibility("default")))

#endif
