#include "api/workers/claim_wait.h"

#include "api/http/request.h"
#include "daemon/base/clock.h"
#include "store/store.h"
#include "store/tasks.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TICK_MS 250
#define ROUND_MS 20 /* between two rounds: heartbeats change the store, too */

struct waiter {
    struct waiter *next;
    struct MHD_Connection *connection;
    int fd;
    uint64_t since; /* version of the store that had nothing */
    int64_t due_ms; /* monotonic */
};

struct api_claim_waits {
    struct store *store;
    pthread_mutex_t mutex;
    pthread_t thread;
    int is_ending, is_stopping;
    unsigned count;
    struct waiter *first; /* oldest first */
};

/* Takes the waiter at *slot out of the list and lets its connection go on. */
static void resume(struct api_claim_waits *waits, struct waiter **slot)
{
    struct waiter *waiter = *slot;
    *slot = waiter->next;
    waits->count--;
    MHD_resume_connection(waiter->connection);
    free(waiter);
}

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* Whether the peer has not hung up. It has nothing to say while it waits. */
static int is_alive(int fd)
{
    char byte;
    if (fd < 0)
        return 1;
    /* It does not block. NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): of newer versions */
    ssize_t size = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

int api_claim_wait(struct api_claim_waits *waits, struct api_request *request, uint64_t since,
                   int64_t retry_ms)
{
    int64_t now = clock_monotonic_ms();
    struct waiter *waiter = malloc(sizeof *waiter);
    pthread_mutex_lock(&waits->mutex);
    if (!waiter || waits->is_ending || now >= request->wait_until_ms) {
        pthread_mutex_unlock(&waits->mutex);
        free(waiter);
        return 0;
    }
    *waiter = (struct waiter){.connection = request->connection,
                              .fd = fd_of(request->connection),
                              .since = since,
                              .due_ms = request->wait_until_ms};
    if (retry_ms >= 0 && now + retry_ms < waiter->due_ms)
        waiter->due_ms = now + retry_ms;
    struct waiter **end = &waits->first;
    while (*end)
        end = &(*end)->next;
    *end = waiter;
    waits->count++;
    MHD_suspend_connection(request->connection);
    pthread_mutex_unlock(&waits->mutex);
    return 1;
}

int api_claim_wait_is_alive(struct api_request *request)
{
    return is_alive(fd_of(request->connection));
}

/* Lets those go on whose time has come or whose peer has gone, and up to `tasks` of those that have not seen
 * this version. Returns whether more of these are left: who went on may not want what there is. */
static int run_round(struct api_claim_waits *waits, uint64_t version, int64_t tasks)
{
    int64_t now = clock_monotonic_ms();
    int are_left = 0;
    const int has_tasks = tasks > 0;
    pthread_mutex_lock(&waits->mutex);
    struct waiter **slot = &waits->first;
    while (*slot) {
        int is_over = now >= (*slot)->due_ms || !is_alive((*slot)->fd);
        int has_not_seen = !is_over && (*slot)->since != version;
        int is_next = has_not_seen && tasks > 0;
        tasks -= is_next;
        are_left |= has_not_seen && !is_next;
        if (is_over || is_next)
            resume(waits, slot);
        else
            slot = &(*slot)->next;
    }
    pthread_mutex_unlock(&waits->mutex);
    return are_left && has_tasks;
}

static int is_stopping(struct api_claim_waits *waits)
{
    pthread_mutex_lock(&waits->mutex);
    int stopping = waits->is_stopping;
    pthread_mutex_unlock(&waits->mutex);
    return stopping;
}

static void *run(void *context)
{
    struct api_claim_waits *waits = context;
    struct store *store = waits->store;
    uint64_t version = store_version(store);
    int are_left = 0;
    while (!is_stopping(waits)) {
        struct err ignored = ERR_INIT;
        int64_t queued = 0, claimed = 0;
        version = store_wait_change(store, version, are_left ? 0 : TICK_MS, NULL);
        are_left = 0;
        if (api_claim_waits_count(waits) == 0)
            continue;
        if (tasks_depth(store, &queued, &claimed, &ignored))
            queued = 1; /* let one find out */
        are_left = run_round(waits, version, queued);
        clock_sleep_ms(ROUND_MS);
    }
    return NULL;
}

int api_claim_waits_start(struct store *store, struct api_claim_waits **ret_waits, struct err *err)
{
    struct api_claim_waits *waits = calloc(1, sizeof *waits);
    if (!waits)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    waits->store = store;
    pthread_mutex_init(&waits->mutex, NULL);
    int code = pthread_create(&waits->thread, NULL, run, waits);
    if (code) {
        pthread_mutex_destroy(&waits->mutex);
        free(waits);
        return err_set_errno(err, code, "thread of waiting workers");
    }
    *ret_waits = waits;
    return 0;
}

void api_claim_waits_end(struct api_claim_waits *waits)
{
    pthread_mutex_lock(&waits->mutex);
    waits->is_ending = 1;
    while (waits->first)
        resume(waits, &waits->first);
    pthread_mutex_unlock(&waits->mutex);
}

void api_claim_waits_free(struct api_claim_waits *waits)
{
    if (!waits)
        return;
    pthread_mutex_lock(&waits->mutex);
    waits->is_stopping = 1;
    pthread_mutex_unlock(&waits->mutex);
    store_wake(waits->store);
    (void)pthread_join(waits->thread, NULL);
    pthread_mutex_destroy(&waits->mutex);
    free(waits);
}

unsigned api_claim_waits_count(struct api_claim_waits *waits)
{
    pthread_mutex_lock(&waits->mutex);
    unsigned count = waits->count;
    pthread_mutex_unlock(&waits->mutex);
    return count;
}
