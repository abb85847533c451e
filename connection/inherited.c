/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection/inherited.h"

#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void inherited_reset_signals(void)
{
    static const char action[64]; /* the kernel's structure: SIG_DFL, no flags, no mask */

    for (int number = 1; number < _NSIG; number++)
        syscall(SYS_rt_sigaction, number, action, NULL, _NSIG / 8);
}
