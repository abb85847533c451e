/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that the hypervisor and every event-channel handle share, and the lock-free operations
 * on it. This is xensim's data path: notify, pending and unmask touch only this and an eventfd.
 *
 * Invariants:
 *   - a port that is PENDING and not MASKED has its bit in the queue of its handle, or the thread
 *     that made it so is about to set it (and has announced that in an intent of its handle);
 *   - the thread that sets a queue bit owes the handle's eventfd one token. Tokens never outnumber
 *     bits, so a handle is readable exactly when pending() would not block.
 * If a thread dies in between, its intent stays, and the hypervisor adds the missing token
 * (repair.c).
 */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SIM_DOMAINS 128
#define SIM_PORTS   16384
#define SIM_HANDLES 4096
#define SIM_WORDS   (SIM_PORTS / 64)
#define SIM_INTENTS 6

#define SIM_PENDING 1u
#define SIM_MASKED  2u

/* `state` is generation << 32 | flags; `peer` is the peer's generation << 32 | its index + 1,
 * or 0 while nobody is bound; `handle` is the receiving handle's index + 1, or 0. */
struct sim_port {
    _Atomic uint64_t state;
    _Atomic uint64_t peer;
    _Atomic uint32_t handle;
    uint32_t padding;
};

struct sim_handle {
    _Atomic uint32_t generation;
    _Atomic uint32_t words; /* of queue, how many may be in use */
    /* events taken so far: shows the hypervisor that the owner makes progress */
    _Atomic uint32_t taken;
    _Atomic uint32_t intents[SIM_INTENTS]; /* index + 1 of each port being queued */
    _Atomic uint64_t queue[SIM_WORDS];
};

struct sim_control {
    struct sim_handle handles[SIM_HANDLES];
    struct sim_port ports[SIM_DOMAINS * SIM_PORTS];
};

/* A port of a domain is at its domain's slot * SIM_PORTS + its number. */
static inline uint32_t sim_port_index(uint32_t slot, uint32_t port)
{
    return slot * SIM_PORTS + port;
}

static inline uint32_t sim_generation(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* Makes the port pending. Returns true if the caller must queue it now. */
static inline bool sim_port_pend(struct sim_port *port, uint32_t generation)
{
    uint64_t old = atomic_load(&port->state);

    do {
        if (sim_generation(old) != generation || (old & SIM_PENDING))
            return false;
    } while (!atomic_compare_exchange_weak(&port->state, &old, old | SIM_PENDING));
    return !(old & SIM_MASKED);
}

/* Unmasks the port. Returns true if an event came meanwhile and the caller must queue it now. */
static inline bool sim_port_unmask(struct sim_port *port)
{
    uint64_t old = atomic_fetch_and(&port->state, ~(uint64_t)SIM_MASKED);

    return (old & SIM_MASKED) && (old & SIM_PENDING);
}

/* Takes an event for the owner: no more until it unmasks. */
static inline void sim_port_take(struct sim_port *port)
{
    uint64_t old = atomic_load(&port->state);

    while (!atomic_compare_exchange_weak(&port->state, &old,
                                         (old & ~(uint64_t)SIM_PENDING) | SIM_MASKED))
        ;
}

/* Queues a port number. Returns true if the caller now owes the handle's eventfd a token. */
static inline bool sim_handle_queue(struct sim_handle *handle, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << (port % 64);

    return !(atomic_fetch_or(&handle->queue[port / 64], bit) & bit);
}

/*
 * Finds a queued port, starting at *cursor so that no port starves, and takes it off the queue.
 * Returns its number, or -1 if there is none.
 */
static inline int sim_handle_take(struct sim_handle *handle, uint32_t *cursor)
{
    uint32_t words = atomic_load(&handle->words);

    for (uint32_t n = 0; words > 0 && n <= words; n++) {
        uint32_t word = (*cursor / 64 + n) % words;
        uint64_t bits = atomic_load(&handle->queue[word]);

        if (n == 0)
            bits &= ~UINT64_C(0) << (*cursor % 64);
        while (bits) {
            uint64_t bit = bits & -bits;

            bits &= ~bit;
            if (!(atomic_fetch_and(&handle->queue[word], ~bit) & bit))
                continue;
            *cursor = (word * 64 + (uint32_t)__builtin_ctzll(bit) + 1) % (words * 64);
            atomic_fetch_add(&handle->taken, 1);
            return (int)(word * 64 + (uint32_t)__builtin_ctzll(bit));
        }
    }
    return -1;
}

/*
 * Announces that the port at index is about to be queued. Returns the intent, to clear afterwards.
 */
static inline _Atomic uint32_t *sim_intent_open(struct sim_handle *handle, uint32_t index)
{
    for (unsigned int i = 0;; i = (i + 1) % SIM_INTENTS) {
        uint32_t none = 0;

        if (atomic_compare_exchange_strong(&handle->intents[i], &none, index + 1))
            return &handle->intents[i];
    }
}

static inline void sim_intent_close(_Atomic uint32_t *intent)
{
    atomic_store_explicit(intent, 0, memory_order_release);
}

#endif
