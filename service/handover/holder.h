/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps rings from going with their processes. A frontend's pages live, and can be mapped, as long
 * as a process maps them, be it that the program which granted them has died: Linux
 * (drivers/xen/gntalloc.c) takes a grant back and frees its page only when no domain maps it any
 * more. A backend that is killed maps nothing; so a small process beside it, vchan-holder, maps all
 * that it serves once more, and does nothing else with that. A later process of the service finds
 * it by the socket that the manager has kept (fdstore.h), and learns from it what there is to go on
 * with.
 *
 * Without a manager there is none. All functions do nothing to a NULL, and belong to one thread.
 * Those that ask the holder wait for its answer: it does one thing at a time, within microseconds,
 * and after 5 s it counts as dead.
 */
#ifndef SERVICE_HANDOVER_HOLDER_H
#define SERVICE_HANDOVER_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

struct endpoint_rings;
struct event_base;
struct holder;
struct fdstore;

/* The version of what is said to a holder. */
#define HOLDER_SPEAKS 1

/*
 * Finds the holder of an earlier process, or starts one, if the manager has room for its socket;
 * otherwise *holder is NULL. One that dies is replaced as long as the loop runs. 0, -ENOMEM, or
 * -EPROTONOSUPPORT: the earlier process's speaks *version, which is another, and stays as it is.
 */
int holder_open(struct event_base *base, struct fdstore *fdstore, struct holder **holder,
                uint32_t *version);

/* Frees it. What is held stays so, for the next process. */
void holder_close(struct holder *holder);

/* It is not needed any more: returns when it has ended, and maps nothing. */
void holder_dismiss(struct holder *holder);

/*
 * Has rings held for an owner ("5/0"), instead of what was held for it. 0, also if the holder is
 * just being replaced, or a negative errno: they are not held.
 */
int holder_hold(struct holder *holder, const char *owner, const struct endpoint_rings *rings);

/* What is held for the owner is not needed any more. */
void holder_let_go(struct holder *holder, const char *owner);

/* Whether rings are held for the owner since an earlier process, and which. */
bool holder_find(const struct holder *holder, const char *owner, struct endpoint_rings *rings);

/* Lets go of all that was held for an earlier process, and not for this one since. */
void holder_forget(struct holder *holder);

/* The name under which the service's own program is started to be the holder. */
#define HOLDER_NAME "vchan-holder"

/*
 * The holder itself: opens /dev/xen/gntdev, then drops all rights that it does not need
 * (service/sandbox.h). Gives the exit code, when the last process that has the other end of its
 * socket closed it. That is for _exit(): what exit() runs may need other system calls.
 */
int holder_serve(void);

#endif
