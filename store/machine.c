#include "store/machine.h"

#include <stddef.h>
#include <string.h>

struct task_move {
    enum task_state from;
    enum task_event event;
    enum task_state to;
};

static const struct task_move TASK_MOVES[] = {
    {TASK_STATE_QUEUED, TASK_EVENT_CLAIM, TASK_STATE_CLAIMED},
    {TASK_STATE_QUEUED, TASK_EVENT_CANCEL, TASK_STATE_CANCELLED},
    {TASK_STATE_CLAIMED, TASK_EVENT_HEARTBEAT, TASK_STATE_CLAIMED},
    {TASK_STATE_CLAIMED, TASK_EVENT_RECORD, TASK_STATE_DONE},
    {TASK_STATE_CLAIMED, TASK_EVENT_RETRY, TASK_STATE_QUEUED},
    {TASK_STATE_CLAIMED, TASK_EVENT_FAIL, TASK_STATE_FAILED},
    {TASK_STATE_CLAIMED, TASK_EVENT_EXPIRE, TASK_STATE_QUEUED},
    {TASK_STATE_CLAIMED, TASK_EVENT_EXHAUST, TASK_STATE_FAILED},
    {TASK_STATE_CLAIMED, TASK_EVENT_INTERRUPT, TASK_STATE_QUEUED},
    {TASK_STATE_CLAIMED, TASK_EVENT_CANCEL, TASK_STATE_CANCELLED},
};

struct sweep_move {
    enum sweep_state from;
    enum sweep_event event;
    enum sweep_state to;
};

static const struct sweep_move SWEEP_MOVES[] = {
    {SWEEP_STATE_PLANNING, SWEEP_EVENT_START, SWEEP_STATE_RUNNING},
    {SWEEP_STATE_PLANNING, SWEEP_EVENT_FAIL, SWEEP_STATE_FAILED},
    {SWEEP_STATE_PLANNING, SWEEP_EVENT_CANCEL, SWEEP_STATE_CANCELLED},
    {SWEEP_STATE_RUNNING, SWEEP_EVENT_FINISH, SWEEP_STATE_DONE},
    {SWEEP_STATE_RUNNING, SWEEP_EVENT_FAIL, SWEEP_STATE_FAILED},
    {SWEEP_STATE_RUNNING, SWEEP_EVENT_CANCEL, SWEEP_STATE_CANCELLED},
};

static const char *const TASK_STATE_NAMES[TASK_STATE_COUNT] = {"queued", "claimed", "done", "failed",
                                                               "cancelled"};
static const char *const TASK_EVENT_NAMES[TASK_EVENT_COUNT] = {
    "claim", "heartbeat", "record", "retry", "fail", "expire", "exhaust", "interrupt", "cancel"};
static const char *const SWEEP_STATE_NAMES[SWEEP_STATE_COUNT] = {"planning", "running", "done", "failed",
                                                                 "cancelled"};
static const char *const SWEEP_EVENT_NAMES[SWEEP_EVENT_COUNT] = {"start", "finish", "fail", "cancel"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

int task_machine_next(enum task_state from, enum task_event event, enum task_state *ret_to)
{
    for (size_t i = 0; i < COUNT_OF(TASK_MOVES); i++) {
        if (TASK_MOVES[i].from == from && TASK_MOVES[i].event == event) {
            *ret_to = TASK_MOVES[i].to;
            return 1;
        }
    }
    return 0;
}

int sweep_machine_next(enum sweep_state from, enum sweep_event event, enum sweep_state *ret_to)
{
    for (size_t i = 0; i < COUNT_OF(SWEEP_MOVES); i++) {
        if (SWEEP_MOVES[i].from == from && SWEEP_MOVES[i].event == event) {
            *ret_to = SWEEP_MOVES[i].to;
            return 1;
        }
    }
    return 0;
}

int task_state_is_final(enum task_state state)
{
    for (size_t i = 0; i < COUNT_OF(TASK_MOVES); i++) {
        if (TASK_MOVES[i].from == state)
            return 0;
    }
    return 1;
}

int sweep_state_is_final(enum sweep_state state)
{
    for (size_t i = 0; i < COUNT_OF(SWEEP_MOVES); i++) {
        if (SWEEP_MOVES[i].from == state)
            return 0;
    }
    return 1;
}

static const char *name_of(const char *const *names, size_t count, size_t value)
{
    return value < count ? names[value] : "unknown";
}

const char *task_state_name(enum task_state state)
{
    return name_of(TASK_STATE_NAMES, TASK_STATE_COUNT, (size_t)state);
}

const char *task_event_name(enum task_event event)
{
    return name_of(TASK_EVENT_NAMES, TASK_EVENT_COUNT, (size_t)event);
}

const char *sweep_state_name(enum sweep_state state)
{
    return name_of(SWEEP_STATE_NAMES, SWEEP_STATE_COUNT, (size_t)state);
}

const char *sweep_event_name(enum sweep_event event)
{
    return name_of(SWEEP_EVENT_NAMES, SWEEP_EVENT_COUNT, (size_t)event);
}

int task_state_parse(const char *name, enum task_state *ret_state)
{
    for (size_t i = 0; i < TASK_STATE_COUNT; i++) {
        if (!strcmp(TASK_STATE_NAMES[i], name)) {
            *ret_state = (enum task_state)i;
            return 1;
        }
    }
    return 0;
}

int sweep_state_parse(const char *name, enum sweep_state *ret_state)
{
    for (size_t i = 0; i < SWEEP_STATE_COUNT; i++) {
        if (!strcmp(SWEEP_STATE_NAMES[i], name)) {
            *ret_state = (enum sweep_state)i;
            return 1;
        }
    }
    return 0;
}
