/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/turns.h"

#include <stddef.h>

void turns_init(struct turns *turns, enum turns_rank (*rank)(const struct turn *turn),
                void (*look)(struct turns_guest *guest, struct turn *turn))
{
    *turns = (struct turns){.rank = rank, .look = look};
    TAILQ_INIT(&turns->guests);
}

void turns_add(struct turns *turns, struct turns_guest *guest)
{
    for (int rank = 0; rank < TURNS_RANKS; rank++)
        TAILQ_INIT(&guest->queues[rank]);
    TAILQ_INSERT_TAIL(&turns->guests, guest, next);
}

void turns_remove(struct turns *turns, struct turns_guest *guest)
{
    TAILQ_REMOVE(&turns->guests, guest, next);
}

void turns_mark(struct turns *turns, struct turns_guest *guest, struct turn *turn)
{
    if (turn->queue)
        return;
    turn->number = turns->marks++;
    turn->queue = &guest->queues[turns->rank(turn)];
    TAILQ_INSERT_TAIL(turn->queue, turn, next);
}

void turns_unmark(struct turn *turn)
{
    if (turn->queue)
        TAILQ_REMOVE(turn->queue, turn, next);
    turn->queue = NULL;
}

static struct turn *first_turn(const struct turns_guest *guest, enum turns_rank rank)
{
    return guest->paused && rank != TURNS_NEW ? NULL : TAILQ_FIRST(&guest->queues[rank]);
}

/* Returns the number of the oldest mark of a served device. */
static uint64_t oldest_served(const struct turns *turns)
{
    const struct turns_guest *guest;
    uint64_t oldest = UINT64_MAX;

    TAILQ_FOREACH (guest, &turns->guests, next) {
        const struct turn *turn = first_turn(guest, TURNS_SERVED);

        if (turn && turn->number < oldest)
            oldest = turn->number;
    }
    return oldest;
}

static struct turn *pick_turn(const struct turns_guest *guest, uint64_t oldest)
{
    struct turn *turn = first_turn(guest, TURNS_SERVED);

    for (int rank = TURNS_NEW; !turn && rank < TURNS_RANKS; rank++) {
        turn = first_turn(guest, rank);
        if (turn && turn->number > oldest)
            turn = NULL;
    }
    return turn;
}

bool turns_round(struct turns *turns)
{
    const uint64_t oldest = oldest_served(turns);
    struct turns_guest *guest;
    bool any = false;

    TAILQ_FOREACH (guest, &turns->guests, next) {
        struct turn *turn = pick_turn(guest, oldest);

        if (!turn)
            continue;
        any = true;
        turns_unmark(turn);
        turns->look(guest, turn);
    }
    return any;
}
