/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SIM_EXPORT_H
#define SIM_EXPORT_H

/* Marks a function with which libxensim.so replaces a library's. */
#define SIM_EXPORT __attribute__((visibility("default")))

#endif
