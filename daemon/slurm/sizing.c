#include "daemon/slurm/sizing.h"

struct plan {
    struct sizing_action *actions;
    size_t max;
    size_t count;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void add(struct plan *plan, struct sizing_action action)
{
    if (plan->count < plan->max)
        plan->actions[plan->count++] = action;
}

/* Tasks of all sweeps, as far as they matter. */
static int64_t count_tasks(const struct sizing_demand *demands, size_t count, int64_t most)
{
    int64_t tasks = 0;
    for (size_t i = 0; i < count && tasks < most; i++)
        tasks += smaller(demands[i].tasks, most);
    return smaller(tasks, most);
}

/* Cancels what nobody needs; returns how many elements stay. */
static int64_t cancel(struct plan *plan, const struct sizing_supply *supplies, size_t count, int64_t needed)
{
    int64_t live = 0;
    for (size_t i = 0; i < count; i++) {
        if (supplies[i].is_sweep_cancelled)
            add(plan, (struct sizing_action){.kind = SIZING_CANCEL, .supply = i});
        else
            live += supplies[i].pending + supplies[i].running;
    }
    for (size_t i = count; i > 0; i--) {
        const struct sizing_supply *supply = &supplies[i - 1];
        if (supply->is_sweep_cancelled || !supply->pending || live - supply->pending < needed)
            continue;
        add(plan, (struct sizing_action){.kind = SIZING_CANCEL_PENDING, .supply = i - 1});
        live -= supply->pending;
    }
    return live;
}

static int64_t live_of(const struct sizing_supply *supplies, size_t count, int64_t sweep_id)
{
    int64_t live = 0;
    for (size_t i = 0; i < count; i++)
        live += supplies[i].sweep_id == sweep_id && !supplies[i].is_sweep_cancelled
                    ? supplies[i].pending + supplies[i].running
                    : 0;
    return live;
}

size_t sizing_decide(const struct sizing_demand *demands, size_t demand_count,
                     const struct sizing_supply *supplies, size_t supply_count, int64_t workers_max,
                     struct sizing_action *actions, size_t action_max)
{
    struct plan plan = {.actions = actions, .max = action_max};
    int64_t needed = count_tasks(demands, demand_count, workers_max);
    int64_t room = needed - cancel(&plan, supplies, supply_count, needed);
    for (size_t i = 0; i < demand_count && room > 0; i++) {
        int64_t missing = demands[i].tasks - live_of(supplies, supply_count, demands[i].sweep_id);
        int64_t size = smaller(missing, room);
        if (size <= 0)
            continue;
        add(&plan,
            (struct sizing_action){.kind = SIZING_SUBMIT, .sweep_id = demands[i].sweep_id, .size = size});
        room -= size;
    }
    return plan.count;
}
