/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/turns.h"

#include <stddef.h>

void turns_init(struct turns *turns, enum turns_rank (*rank)(const struct turn *turn),
                void (*look)(struct turns_guest *guest, struct turn *turn))
{
    TAILQ_INIT(&turns->guests);
    turns->rank = rank;
    turns->look = look;
}

void turns_add(struct turns *turns, struct turns_guest *guest)
{
    TAILQ_INIT(&guest->marked);
    for (int rank = 0; rank < TURNS_RANKS; rank++)
        TAILQ_INIT(&guest->batch[rank]);
    TAILQ_INSERT_TAIL(&turns->guests, guest, next);
}

void turns_remove(struct turns *turns, struct turns_guest *guest)
{
    TAILQ_REMOVE(&turns->guests, guest, next);
}

static void put(struct turns_queue *queue, struct turn *turn)
{
    turn->queue = queue;
    TAILQ_INSERT_TAIL(queue, turn, next);
}

void turns_mark(struct turns_guest *guest, struct turn *turn)
{
    if (!turn->queue)
        put(&guest->marked, turn);
}

void turns_unmark(struct turn *turn)
{
    if (turn->queue)
        TAILQ_REMOVE(turn->queue, turn, next);
    turn->queue = NULL;
}

static void begin_batch(struct turns *turns)
{
    struct turns_guest *guest;
    struct turn *turn;

    TAILQ_FOREACH (guest, &turns->guests, next) {
        while ((turn = TAILQ_FIRST(&guest->marked))) {
            turns_unmark(turn);
            put(&guest->batch[turns->rank(turn)], turn);
        }
    }
}

/* Of the batch: the guest's first one from a rank to another. */
static struct turn *find(const struct turns_guest *guest, int from, int to)
{
    struct turn *turn = NULL;

    for (int rank = guest->held && from < TURNS_NEW ? TURNS_NEW : from; !turn && rank <= to; rank++)
        turn = TAILQ_FIRST(&guest->batch[rank]);
    return turn;
}

static bool look_at_each(struct turns *turns, enum turns_rank from, enum turns_rank to)
{
    struct turns_guest *guest;
    bool any = false;

    TAILQ_FOREACH (guest, &turns->guests, next) {
        struct turn *turn = find(guest, from, to);

        if (!turn)
            continue;
        any = true;
        turns_unmark(turn);
        turns->look(guest, turn);
    }
    return any;
}

static bool go_round(struct turns *turns)
{
    return look_at_each(turns, TURNS_SERVED, TURNS_SERVED) ||
           look_at_each(turns, TURNS_UNSERVED, TURNS_NEW);
}

bool turns_round(struct turns *turns)
{
    if (go_round(turns))
        return true;
    begin_batch(turns);
    return go_round(turns);
}
