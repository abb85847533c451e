/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doc/protocol.md, "Life of a device": the transitions by themselves, then every interleaving. */
#include <stdio.h>

#include "tests/lib/check-main.h"
#include "tests/model/explore.h"

/* Rows start from the usual values (online, begun) and override them. */
#pragma GCC diagnostic ignored "-Woverride-init"

#define S(name) XenbusState##name

struct row {
    enum machine_role role;
    struct machine_view view;
    enum machine_action action;
    enum xenbus_state next;
};

#define FRONT MACHINE_FRONTEND
#define BACK MACHINE_BACKEND
#define V(o, p, ...) {.own = S(o), .peer = S(p), .online = true, .begun = true, __VA_ARGS__}
#define HELD .held = true, .ready = true

static const struct row rows[] = {
    /* The frontend starts over whatever was left, and grants when the backend is at InitWait. */
    {FRONT, V(Connected, Closed, .begun = false), MACHINE_BEGIN, S(Initialising)},
    {FRONT, V(Initialising, Initialising), MACHINE_WAIT, S(Initialising)},
    {FRONT, V(Initialising, Closed), MACHINE_WAIT, S(Initialising)},
    {FRONT, V(Initialising, InitWait), MACHINE_GRANT, S(Initialised)},
    {FRONT, V(Initialising, InitWait, .online = false), MACHINE_MOVE, S(Closed)},
    {FRONT, V(Initialised, InitWait, HELD), MACHINE_WAIT, S(Initialised)},
    {FRONT, V(Initialised, Connected, HELD), MACHINE_MOVE, S(Connected)},
    {FRONT, V(Initialised, Closed, HELD), MACHINE_RELEASE, S(Closed)},
    {FRONT, V(Initialised, InitWait, HELD, .lost = true), MACHINE_RELEASE, S(Closed)},
    /* The backend offers, maps, and is Connected once its connection is open. */
    {BACK, V(Initialising, Initialising, .begun = false), MACHINE_BEGIN, S(InitWait)},
    {BACK, V(Connected, Connected, .begun = false), MACHINE_BEGIN, S(Closed)},
    {BACK, V(Connected, Initialising, .begun = false), MACHINE_BEGIN, S(InitWait)},
    {BACK, V(InitWait, Initialised), MACHINE_MAP, S(InitWait)},
    {BACK, V(InitWait, Connected), MACHINE_WAIT, S(InitWait)},
    {BACK, V(InitWait, Initialised, .held = true), MACHINE_WAIT, S(InitWait)},
    {BACK, V(InitWait, Initialised, HELD), MACHINE_MOVE, S(Connected)},
    {BACK, V(InitWait, Initialised, .failed = true), MACHINE_MOVE, S(Closed)},
    {BACK, V(Closed, Initialising), MACHINE_MOVE, S(InitWait)},
    {BACK, V(Closed, Closed), MACHINE_WAIT, S(Closed)},
    {BACK, V(Closed, Initialising, .online = false), MACHINE_WAIT, S(Closed)},
    /* Reattach: continues what an earlier process left, if the frontend waits for that. */
    {BACK, V(Connected, Connected, .begun = false, .reattach = true), MACHINE_MOVE,
     S(Reconfiguring)},
    {BACK, V(Connected, Initialised, .begun = false, .reattach = true), MACHINE_MOVE,
     S(Reconfiguring)},
    {BACK, V(Reconfiguring, Connected, .begun = false, .reattach = true), MACHINE_REATTACH,
     S(Reconfiguring)},
    {BACK, V(Closing, Connected, .begun = false, .reattach = true), MACHINE_REATTACH, S(Closing)},
    {BACK, V(Closing, Connected, .reattach = true), MACHINE_MOVE, S(Closed)},
    {BACK, V(Reconfiguring, Connected, .begun = false), MACHINE_BEGIN, S(Closed)},
    {BACK, V(Reconfiguring, Initialising, .begun = false, .reattach = true), MACHINE_BEGIN,
     S(InitWait)},
    {BACK, V(Reconfiguring, Closed, .begun = false, .reattach = true), MACHINE_BEGIN, S(Closed)},
    {BACK, V(Closing, Closing, .begun = false, .reattach = true, .online = false), MACHINE_MOVE,
     S(Closed)},
    /* The same with kept rings, whatever happened to the frontend. */
    {BACK, V(Connected, Initialising, .begun = false, .reattach = true, .kept = true), MACHINE_MOVE,
     S(Reconfiguring)},
    {BACK, V(Reconfiguring, Unknown, .begun = false, .reattach = true, .kept = true),
     MACHINE_REATTACH, S(Reconfiguring)},
    {BACK, V(Closing, Closed, .begun = false, .reattach = true, .kept = true), MACHINE_REATTACH,
     S(Closing)},
    {BACK, V(InitWait, Initialised, .begun = false, .reattach = true, .kept = true), MACHINE_BEGIN,
     S(InitWait)},
    {BACK, V(Connected, Initialising, .begun = false, .kept = true), MACHINE_BEGIN, S(InitWait)},
    {BACK, V(Reconfiguring, Connected, .reattach = true, .held = true), MACHINE_WAIT,
     S(Reconfiguring)},
    {BACK, V(Reconfiguring, Connected, .reattach = true, HELD), MACHINE_MOVE, S(Connected)},
    {BACK, V(Reconfiguring, Connected, .reattach = true, HELD, .leaving = true), MACHINE_MOVE,
     S(Closing)},
    {BACK, V(Reconfiguring, Connected, .reattach = true, .failed = true), MACHINE_MOVE, S(Closed)},
    {FRONT, V(Connected, Connected, HELD, .lost = true, .reattach = true), MACHINE_WAIT,
     S(Connected)},
    {FRONT, V(Connected, Reconfiguring, HELD, .lost = true, .reattach = true), MACHINE_WAIT,
     S(Connected)},
    {FRONT, V(Connected, Closed, HELD, .lost = true, .reattach = true), MACHINE_DRAIN,
     S(Connected)},
    {FRONT, V(Initialised, InitWait, HELD, .lost = true, .reattach = true), MACHINE_WAIT,
     S(Initialised)},
    {FRONT, V(Initialised, Reconfiguring, HELD, .reattach = true), MACHINE_WAIT, S(Initialised)},
    {FRONT,
     V(Closing, Closing, HELD, .draining = true, .drained = true, .finished = true, .lost = true,
       .reattach = true),
     MACHINE_WAIT, S(Closing)},
    {FRONT,
     V(Closing, Closing, HELD, .draining = true, .drained = true, .finished = true,
       .reattach = true),
     MACHINE_RELEASE, S(Closed)},
    /* Half-close, from both sides. */
    {FRONT, V(Connected, Connected, HELD, .finished = true), MACHINE_MOVE, S(Closing)},
    {BACK, V(Connected, Closing, HELD), MACHINE_DRAIN, S(Connected)},
    {BACK, V(Connected, Closing, HELD, .draining = true), MACHINE_WAIT, S(Connected)},
    {BACK, V(Connected, Closing, HELD, .draining = true, .drained = true), MACHINE_WAIT,
     S(Connected)},
    {BACK, V(Connected, Closing, HELD, .draining = true, .drained = true, .finished = true),
     MACHINE_MOVE, S(Closing)},
    {BACK, V(Closing, Closing, HELD, .draining = true, .drained = true, .finished = true),
     MACHINE_RELEASE, S(Closed)},
    /* A 3 after a 4 is a stale one; anything lower means that the peer has left. */
    {BACK, V(Connected, Initialised, HELD), MACHINE_WAIT, S(Connected)},
    {BACK, V(Connected, Initialising, HELD), MACHINE_DRAIN, S(Connected)},
    {BACK, V(Connected, Unknown, HELD), MACHINE_DRAIN, S(Connected)},
    /* A dead peer's bytes are delivered first; an end passes Closing. */
    {BACK, V(Connected, Connected, HELD, .lost = true), MACHINE_DRAIN, S(Connected)},
    {BACK, V(Connected, Connected, HELD, .lost = true, .draining = true), MACHINE_WAIT,
     S(Connected)},
    {BACK, V(Connected, Connected, HELD, .lost = true, .draining = true, .drained = true),
     MACHINE_MOVE, S(Closing)},
    {BACK, V(Closing, Connected, HELD, .lost = true, .draining = true, .drained = true),
     MACHINE_RELEASE, S(Closed)},
    {FRONT, V(Connected, Connected, HELD, .leaving = true), MACHINE_MOVE, S(Closing)},
    {FRONT, V(Closing, Connected, HELD, .leaving = true), MACHINE_RELEASE, S(Closed)},
    /* Unplug: the toolstack has written online=0 and our state. */
    {BACK, V(Closing, Connected, HELD, .online = false), MACHINE_DRAIN, S(Closing)},
    {BACK, V(Closing, Connected, HELD, .online = false, .draining = true, .drained = true),
     MACHINE_RELEASE, S(Closed)},
    {BACK, V(Closing, Initialising, .online = false), MACHINE_MOVE, S(Closed)},
    /* Nothing is written to a device that is gone. */
    {FRONT, V(Unknown, Unknown, .online = false), MACHINE_WAIT, S(Unknown)},
    {BACK, V(Unknown, Unknown, HELD, .online = false, .draining = true, .drained = true),
     MACHINE_RELEASE, S(Unknown)},
};

START_TEST(test_transition)
{
    const struct row *row = &rows[_i];
    struct machine_step step = machine_step(row->role, &row->view);

    ck_assert_msg(step.action == row->action && step.next == row->next,
                  "row %d: %s, %s instead of %s, %s", _i, machine_action_name(step.action),
                  xenbus_state_name(step.next), machine_action_name(row->action),
                  xenbus_state_name(row->next));
}
END_TEST

/* Under valgrind one crash is enough, and one state that a guest meddles with. */
static unsigned int at_most(unsigned int most)
{
    const char *text = getenv("EXPLORE_CRASHES");
    unsigned int wanted = text ? (unsigned int)strtoul(text, NULL, 10) : most;

    return wanted < most ? wanted : most;
}

static const struct explore_limits worlds[] = {
    {.crashes = 3, .restarts = 2, .reattach = false},
    {.crashes = 3, .restarts = 2, .reattach = true},
    {.crashes = 3, .restarts = 2, .reattach = true, .keeps = true},
    {.crashes = 1, .restarts = 1, .reattach = false, .meddles = 2, .meddler = MACHINE_FRONTEND},
    {.crashes = 1, .restarts = 1, .reattach = true, .meddles = 2, .meddler = MACHINE_FRONTEND},
    {.crashes = 1, .restarts = 1, .reattach = true, .meddles = 2, .meddler = MACHINE_BACKEND},
    {.crashes = 1, .restarts = 1, .reattach = true, .keeps = true, .meddles = 2,
     .meddler = MACHINE_FRONTEND},
};

START_TEST(test_every_interleaving)
{
    struct explore_result *result = calloc(1, sizeof(*result));
    struct explore_limits limits = worlds[_i];

    ck_assert_ptr_nonnull(result);
    limits.crashes = at_most(limits.crashes);
    limits.meddles = at_most(limits.meddles);
    explore(machine_step, &limits, result);
    printf("machine: world %d: explored %lu states, %lu transitions, %lu quiet ends\n", _i,
           result->states, result->transitions, result->quiet);
    ck_assert_msg(result->fault[0] == '\0', "%s\n%s", result->fault, result->trace);
    ck_assert_uint_gt(result->states, 10000);
    free(result);
}
END_TEST

/* ---- seeded faults: the explorer must find each ---- */

static struct machine_step blind_to_death(enum machine_role role, const struct machine_view *view)
{
    struct machine_view blind = *view;

    blind.lost = false;
    return machine_step(role, &blind);
}

static struct machine_step trusts_leftovers(enum machine_role role,
                                            const struct machine_view *view)
{
    struct machine_view trusting = *view;

    trusting.begun = true;
    return machine_step(role, &trusting);
}

/* Takes 3 -> 4 -> 3 for a new beginning. */
static struct machine_step maps_again(enum machine_role role, const struct machine_view *view)
{
    if (role == MACHINE_BACKEND && view->held && view->peer == XenbusStateInitialised)
        return (struct machine_step){MACHINE_MAP, view->own};
    return machine_step(role, view);
}

static struct machine_step never_finishes(enum machine_role role, const struct machine_view *view)
{
    struct machine_step step = machine_step(role, view);

    if (role == MACHINE_FRONTEND && step.action == MACHINE_RELEASE)
        step = (struct machine_step){MACHINE_WAIT, view->own};
    return step;
}

static struct machine_step remaps_used_ring(enum machine_role role,
                                            const struct machine_view *view)
{
    if (role == MACHINE_BACKEND && !view->held && view->own == XenbusStateConnected &&
        view->peer == XenbusStateConnected)
        return (struct machine_step){MACHINE_MAP, view->own};
    return machine_step(role, view);
}

/* Takes used rings for new ones: the next process starts a new connection. */
static struct machine_step reattaches_as_new(enum machine_role role,
                                             const struct machine_view *view)
{
    struct machine_step step = machine_step(role, view);

    if (step.action == MACHINE_REATTACH)
        step.action = MACHINE_MAP;
    return step;
}

static struct machine_step reattaches_unasked(enum machine_role role,
                                              const struct machine_view *view)
{
    struct machine_view eager = *view;

    eager.reattach |= role == MACHINE_BACKEND;
    return machine_step(role, &eager);
}

/* A frontend starts over before the backend has, so its rings would be resumed. */
static struct machine_step grants_unasked(enum machine_role role, const struct machine_view *view)
{
    if (role == MACHINE_FRONTEND && view->begun && !view->held && !view->leaving && view->online &&
        view->own == XenbusStateInitialising && view->peer == XenbusStateReconfiguring)
        return (struct machine_step){MACHINE_GRANT, XenbusStateInitialised};
    return machine_step(role, view);
}

static struct machine_step impatient_frontend(enum machine_role role,
                                              const struct machine_view *view)
{
    struct machine_view impatient = *view;

    impatient.reattach &= role == MACHINE_BACKEND;
    return machine_step(role, &impatient);
}

/* A frontend at its end does not check whether the backend's process is there to read the rest. */
static struct machine_step leaves_too_soon(enum machine_role role, const struct machine_view *view)
{
    struct machine_view blind = *view;

    blind.lost &= role == MACHINE_BACKEND;
    return machine_step(role, &blind);
}

static struct machine_step stays_reconfiguring(enum machine_role role,
                                               const struct machine_view *view)
{
    if (view->held && view->own == XenbusStateReconfiguring)
        return (struct machine_step){MACHINE_WAIT, view->own};
    return machine_step(role, view);
}

static struct machine_step forgets_kept(enum machine_role role, const struct machine_view *view)
{
    struct machine_view forgetful = *view;

    forgetful.kept = false;
    return machine_step(role, &forgetful);
}

/* Serves a frontend's next program before delivering what the last one wrote. */
static struct machine_step serves_the_next_first(enum machine_role role,
                                                 const struct machine_view *view)
{
    struct machine_view hurried = *view;

    hurried.kept &= view->peer != XenbusStateInitialising;
    return machine_step(role, &hurried);
}

static struct machine_step gives_up_undelivered(enum machine_role role,
                                                const struct machine_view *view)
{
    struct machine_view hasty = *view;

    hasty.drained |= role == MACHINE_BACKEND && view->draining;
    return machine_step(role, &hasty);
}

#define CRASH_OFF {.crashes = 1, .restarts = 2, .reattach = false}
#define CRASH_ON  {.crashes = 1, .restarts = 2, .reattach = true}
#define CRASHES_ON {.crashes = 2, .restarts = 2, .reattach = true}
#define CRASHES_KEPT {.crashes = 2, .restarts = 2, .reattach = true, .keeps = true}
#define MEDDLED   {.restarts = 1, .reattach = true, .meddles = 2, .meddler = MACHINE_FRONTEND}

static const struct {
    explore_step_fn *step;
    struct explore_limits limits;
} faults[] = {
    {blind_to_death, CRASH_OFF},       {trusts_leftovers, CRASH_OFF},
    {maps_again, CRASH_OFF},           {maps_again, MEDDLED},
    {never_finishes, CRASH_OFF},       {remaps_used_ring, CRASH_OFF},
    {reattaches_as_new, CRASH_ON},     {reattaches_unasked, CRASH_OFF},
    {grants_unasked, CRASHES_ON},      {impatient_frontend, CRASH_ON},
    {leaves_too_soon, CRASH_ON},       {stays_reconfiguring, CRASH_ON},
    {gives_up_undelivered, CRASH_ON},  {gives_up_undelivered, CRASHES_KEPT},
    {forgets_kept, CRASHES_KEPT},      {serves_the_next_first, CRASHES_KEPT},
};

START_TEST(test_seeded_fault_is_found)
{
    struct explore_result *result = calloc(1, sizeof(*result));

    ck_assert_ptr_nonnull(result);
    explore(faults[_i].step, &faults[_i].limits, result);
    ck_assert_msg(result->fault[0] != '\0', "seeded fault %d was not found in %lu states", _i,
                  result->states);
    printf("machine: seeded fault %d found: %s\n", _i, result->fault);
    free(result);
}
END_TEST

START_TEST(test_names)
{
    enum xenbus_state state = XenbusStateUnknown;

    ck_assert_str_eq(xenbus_state_name(XenbusStateConnected), "Connected");
    ck_assert_str_eq(xenbus_state_name((enum xenbus_state)9), "?");
    ck_assert(xenbus_state_by_name("initWAIT", &state));
    ck_assert_int_eq(state, XenbusStateInitWait);
    ck_assert(!xenbus_state_by_name("", &state));
    ck_assert_int_eq(state, XenbusStateInitWait);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("machine");

    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, test_transition, 0, (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_loop_test(tcase, test_every_interleaving, 0,
                        (int)(sizeof(worlds) / sizeof(worlds[0])));
    if (!getenv("EXPLORE_CRASHES")) /* these test the explorer, which valgrind need not see */
        tcase_add_loop_test(tcase, test_seeded_fault_is_found, 0,
                            (int)(sizeof(faults) / sizeof(faults[0])));
    tcase_add_test(tcase, test_names);
    return check_main("machine", tcase);
}
