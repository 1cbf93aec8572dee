#include "gpu/cpu/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

struct member {
    struct cpu_threads *threads;
    pthread_t thread;
    int index;
};

struct cpu_threads {
    int count;   /* with the caller */
    int started; /* members that run */
    pthread_mutex_t lock;
    pthread_cond_t work; /* a new round, or the end */
    pthread_cond_t done; /* the last member of a round is ready */
    uint64_t round;
    int running; /* members that have not finished the round */
    int is_ending;
    void (*run)(void *context, int index);
    void *context;
    struct member *members; /* [count - 1] */
};

int cpu_threads_usable(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

static void *member_main(void *argument)
{
    struct member *member = argument;
    struct cpu_threads *threads = member->threads;
    uint64_t seen = 0;
    pthread_mutex_lock(&threads->lock);
    for (;;) {
        while (threads->round == seen && !threads->is_ending)
            pthread_cond_wait(&threads->work, &threads->lock);
        if (threads->is_ending)
            break;
        seen = threads->round;
        pthread_mutex_unlock(&threads->lock);
        threads->run(threads->context, member->index);
        pthread_mutex_lock(&threads->lock);
        if (--threads->running == 0)
            pthread_cond_signal(&threads->done);
    }
    pthread_mutex_unlock(&threads->lock);
    return NULL;
}

int cpu_threads_new(int count, struct cpu_threads **ret_threads, struct err *err)
{
    if (count < 0 || count > CPU_THREADS_MAX)
        return err_set(err, ERR_INVALID, "the number of threads must be between 0 and %d", CPU_THREADS_MAX);
    if (count == 0)
        count = cpu_threads_usable();
    struct cpu_threads *threads = calloc(1, sizeof(*threads));
    if (!threads)
        return err_set(err, ERR_NO_MEMORY, "no memory for threads");
    threads->count = count;
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->work, NULL);
    pthread_cond_init(&threads->done, NULL);
    threads->members = calloc((size_t)count, sizeof(*threads->members));
    if (!threads->members) {
        cpu_threads_free(threads);
        return err_set(err, ERR_NO_MEMORY, "no memory for threads");
    }
    for (int i = 0; i + 1 < count; i++) {
        struct member *member = &threads->members[i];
        *member = (struct member){.threads = threads, .index = i + 1};
        int code = pthread_create(&member->thread, NULL, member_main, member);
        if (code) {
            cpu_threads_free(threads);
            return err_set_errno(err, code, "start thread %d of %d", i + 2, count);
        }
        threads->started++;
    }
    *ret_threads = threads;
    return 0;
}

void cpu_threads_free(struct cpu_threads *threads)
{
    if (!threads)
        return;
    pthread_mutex_lock(&threads->lock);
    threads->is_ending = 1;
    pthread_cond_broadcast(&threads->work);
    pthread_mutex_unlock(&threads->lock);
    for (int i = 0; i < threads->started; i++)
        pthread_join(threads->members[i].thread, NULL);
    pthread_cond_destroy(&threads->done);
    pthread_cond_destroy(&threads->work);
    pthread_mutex_destroy(&threads->lock);
    free(threads->members);
    free(threads);
}

int cpu_threads_count(const struct cpu_threads *threads)
{
    return threads->count;
}

void cpu_threads_run(struct cpu_threads *threads, void (*run)(void *context, int index), void *context)
{
    pthread_mutex_lock(&threads->lock);
    threads->run = run;
    threads->context = context;
    threads->running = threads->started;
    threads->round++;
    pthread_cond_broadcast(&threads->work);
    pthread_mutex_unlock(&threads->lock);
    run(context, 0);
    pthread_mutex_lock(&threads->lock);
    while (threads->running > 0)
        pthread_cond_wait(&threads->done, &threads->lock);
    pthread_mutex_unlock(&threads->lock);
}
