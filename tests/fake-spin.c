/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands in for vchan/spin.c: always two more looks, whatever was learned and however long they
 * take. */
#include "vchan/spin.h"

#define LOOKS 2u

void spin_linger(void)
{
}

bool spin_start(struct spin *spin, struct spin_turn *turn)
{
    (void)spin;
    turn->pauses = LOOKS;
    return true;
}

bool spin_again(struct spin_turn *turn)
{
    return turn->pauses-- > 0;
}

bool spin_is_long(const struct spin_turn *turn)
{
    return turn->pauses < LOOKS;
}

void spin_end(struct spin *spin, const struct spin_turn *turn, bool came)
{
    (void)spin, (void)turn, (void)came;
}

bool spin_yield(struct spin *spin, struct spin_turn *turn)
{
    (void)spin, (void)turn;
    return true;
}

void spin_yield_end(struct spin *spin, const struct spin_turn *turn, bool came)
{
    (void)spin, (void)turn, (void)came;
}
