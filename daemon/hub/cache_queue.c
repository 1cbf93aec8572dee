#include "daemon/hub/cache_queue.h"

#include "daemon/base/clock.h"
#include "daemon/base/condition.h"
#include "daemon/base/file.h"
#include "daemon/hub/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MS 500   /* then the caller sees whether it was cancelled */
#define TURN_MS 50    /* how often the turn of another process is asked for */
#define LOOK_MS 10000 /* after so long anyway: each look goes through all that was fetched */
#define SHOWN_AFTER_MS 2000
#define TELL_AGAIN_MS (3600 * 1000) /* a budget that is too small is so for each file */

int cache_queue_init(struct cache_queue *queue, const struct hub_options *options, struct err *err)
{
    *queue = (struct cache_queue){.options = options, .shown_after_ms = SHOWN_AFTER_MS};
    (void)pthread_mutex_init(&queue->mutex, NULL);
    (void)pthread_cond_init(&queue->changed, NULL);
    if (!options->state_folder)
        return 0; /* nothing is counted, so nobody waits */
    queue->folder = ledger_folder(options->state_folder);
    queue->turn_path = queue->folder ? file_join(queue->folder, ".turn") : NULL;
    return queue->turn_path ? 0 : err_set(err, ERR_NO_MEMORY, "hub: out of memory");
}

void cache_queue_free(struct cache_queue *queue)
{
    free(queue->folder);
    free(queue->turn_path);
    (void)pthread_cond_destroy(&queue->changed);
    (void)pthread_mutex_destroy(&queue->mutex);
}

/* Changes whenever an entry is made, finished or taken back, by whatever process. */
static int64_t read_mark(const struct cache_queue *queue)
{
    struct stat status;
    return stat(queue->folder, &status) == 0
               ? (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec
               : 0;
}

/* Whether no other process has the turn. Without a place for the lock there is no order, which is not worth
 * failing for. */
static int take_turn(const struct cache_queue *queue, int *ret_fd)
{
    struct err ignored = ERR_INIT;
    if (file_make_folders(queue->folder, 0700, &ignored))
        return 1;
    *ret_fd = open(queue->turn_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*ret_fd < 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 1;
    (void)close(*ret_fd);
    *ret_fd = -1;
    return 0;
}

int cache_queue_may_take(struct cache_queue *queue, struct cache_place *place)
{
    (void)pthread_mutex_lock(&queue->mutex);
    int is_first = !queue->first || queue->first == place;
    place->end_count = queue->end_count;
    (void)pthread_mutex_unlock(&queue->mutex);
    const int64_t mark = read_mark(queue);
    place->is_changed = mark != place->ledger_mark;
    place->ledger_mark = mark;
    place->looked_ms = clock_monotonic_ms();
    return is_first && (place->turn_fd >= 0 || take_turn(queue, &place->turn_fd));
}

/* With the lock. Who has the turn came first: it looked while nobody waited. */
static void enter(struct cache_queue *queue, struct cache_place *place)
{
    if (place->turn_fd >= 0) {
        place->next = queue->first;
        queue->first = place;
    } else if (queue->last) {
        queue->last->next = place;
    } else {
        queue->first = place;
    }
    if (!place->next)
        queue->last = place;
    place->is_queued = 1;
    if (queue->count++ == 0)
        queue->since_ms = clock_monotonic_ms();
}

/* With the lock: whether the wait is long enough to be seen now. */
static int show(struct cache_queue *queue)
{
    int is_shown = queue->first && clock_monotonic_ms() - queue->since_ms >= queue->shown_after_ms;
    queue->change_count += is_shown != queue->is_shown ? 1 : 0;
    queue->is_shown = is_shown;
    return is_shown;
}

/* With the lock: whether to tell of the wait, and how many wait. */
static int must_tell(struct cache_queue *queue)
{
    const int64_t now_ms = clock_monotonic_ms();
    if (!show(queue) || (queue->told_ms && now_ms - queue->told_ms < TELL_AGAIN_MS))
        return 0;
    queue->told_ms = now_ms;
    return queue->count;
}

/* Whether what other processes do may have made room since this one looked. */
static int is_due(const struct cache_queue *queue, const struct cache_place *place)
{
    return place->is_changed || read_mark(queue) != place->ledger_mark ||
           clock_monotonic_ms() - place->looked_ms >= LOOK_MS;
}

int cache_queue_wait(struct cache_queue *queue, struct cache_place *place)
{
    (void)pthread_mutex_lock(&queue->mutex);
    if (!place->is_queued)
        enter(queue, place);
    const int was_first = queue->first == place, has_turn = place->turn_fd >= 0;
    const int64_t until_ms = clock_monotonic_ms() + (was_first && !has_turn ? TURN_MS : WAIT_MS);
    int is_over = 0;
    while (!is_over &&
           (queue->first != place || (was_first && (!has_turn || queue->end_count == place->end_count))))
        is_over = condition_wait_until(&queue->changed, &queue->mutex, until_ms);
    const int is_first = queue->first == place, waiting_count = must_tell(queue);
    (void)pthread_mutex_unlock(&queue->mutex);
    if (waiting_count && queue->options->tell_cache)
        queue->options->tell_cache(queue->options->tell_context, waiting_count);
    return is_first && (!is_over || !has_turn || is_due(queue, place));
}

/* With the lock. */
static void unlink_place(struct cache_queue *queue, struct cache_place *place)
{
    struct cache_place *before = NULL;
    for (struct cache_place *at = queue->first; at != place; at = at->next)
        before = at;
    *(before ? &before->next : &queue->first) = place->next;
    if (queue->last == place)
        queue->last = before;
    if (--queue->count == 0)
        queue->waited_ms += clock_monotonic_ms() - queue->since_ms;
}

void cache_queue_leave(struct cache_queue *queue, struct cache_place *place)
{
    if (place->turn_fd >= 0)
        (void)close(place->turn_fd);
    (void)pthread_mutex_lock(&queue->mutex);
    if (place->is_queued)
        unlink_place(queue, place);
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->mutex);
    *place = (struct cache_place)CACHE_PLACE_INIT;
}

void cache_queue_note_end(struct cache_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    queue->end_count++;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->mutex);
}

void cache_queue_read_wait(struct cache_queue *queue, struct hub_wait *wait)
{
    (void)pthread_mutex_lock(&queue->mutex);
    wait->waited_ms += queue->waited_ms + (queue->first ? clock_monotonic_ms() - queue->since_ms : 0);
    if (show(queue) && !wait->reason) {
        wait->reason = HUB_WAIT_CACHE_BUDGET;
        wait->until_ms = clock_wall_ms() + LOOK_MS;
        wait->request_count = queue->count;
        (void)snprintf(wait->detail, sizeof wait->detail,
                       "others have the cache budget of %" PRIu64
                       " MB: raise cache-budget-mb, or run fewer downloads at once (fetchers)",
                       queue->options->cache_budget_bytes / 1000000);
    }
    wait->serial += queue->change_count;
    (void)pthread_mutex_unlock(&queue->mutex);
}
