#include "api/sweeps/events.h"

#include "api/http/access.h"
#include "api/http/http.h"
#include "api/resource/context.h"
#include "api/sweeps/event_text.h"
#include "daemon/base/clock.h"
#include "daemon/base/pause.h"
#include "store/store.h"
#include "store/sweeps.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 250      /* the clock, and the shortest pause between two renderings of a sweep */
#define BLOCK_BYTES 4096 /* asked of a stream at once */
#define COMMENT ": still here\n\n"

/* A sweep that somebody follows. */
struct channel {
    struct channel *next;
    int64_t sweep_id;
    uint64_t version; /* of the sweep in `text`, and of what it waits for */
    uint64_t serial;  /* of `text`, 1 on */
    int is_over;
    struct event_text *text;
    struct stream *streams;
};

struct stream {
    struct stream *next; /* in the channel */
    struct api_events *events;
    struct channel *channel;
    struct MHD_Connection *connection;
    uint64_t address; /* 0: not limited */
    int is_suspended;
    int wants_comment;
    uint64_t serial; /* of the last event that was begun */
    int64_t sent_ms;
    struct event_text *text; /* being sent; NULL between events */
    size_t offset;
};

struct api_events {
    const struct api_context *context;
    struct api_http *http; /* whose clock this is */
    struct api_events_options options;
    struct pause *pause;
    pthread_mutex_t mutex;
    pthread_t thread;
    int is_ending;   /* streams are to end */
    int is_stopping; /* the thread is to end */
    unsigned stream_count;
    struct channel *channels;
};

static struct channel *find_channel(struct api_events *events, int64_t sweep_id)
{
    struct channel *channel = events->channels;
    while (channel && channel->sweep_id != sweep_id)
        channel = channel->next;
    return channel;
}

static void resume(struct stream *stream)
{
    if (!stream->is_suspended)
        return;
    stream->is_suspended = 0;
    MHD_resume_connection(stream->connection);
}

/* Takes over a newer text, unless another thread brought a newer one; always owns `text`. */
static void channel_update(struct channel *channel, struct event_text *text, uint64_t version, int is_over)
{
    if (channel->text && version <= channel->version) {
        event_text_release(text);
        return;
    }
    event_text_release(channel->text);
    channel->text = text;
    channel->version = version;
    channel->is_over = is_over;
    channel->serial++;
    for (struct stream *stream = channel->streams; stream; stream = stream->next)
        resume(stream);
}

/* The next bytes of a stream: libmicrohttpd asks whenever the connection can take more. */
static ssize_t read_stream(void *context, uint64_t position, char *data, size_t max)
{
    (void)position;
    struct stream *stream = context;
    struct api_events *events = stream->events;
    ssize_t size = 0;
    pthread_mutex_lock(&events->mutex);
    struct channel *channel = stream->channel;
    if (!stream->text && stream->serial < channel->serial) {
        stream->text = channel->text;
        stream->text->references++;
        stream->serial = channel->serial;
        stream->offset = 0;
    }
    if (stream->text) {
        size_t left = stream->text->size - stream->offset;
        size_t count = left < max ? left : max;
        memcpy(data, stream->text->data + stream->offset, count);
        stream->offset += count;
        if (count == left) {
            event_text_release(stream->text);
            stream->text = NULL;
        }
        size = (ssize_t)count;
    } else if (channel->is_over || events->is_ending) {
        size = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (stream->wants_comment && max >= sizeof COMMENT) {
        memcpy(data, COMMENT, sizeof COMMENT - 1);
        size = sizeof COMMENT - 1;
    } else {
        stream->is_suspended = 1;
        MHD_suspend_connection(stream->connection);
    }
    if (size > 0) {
        stream->wants_comment = 0;
        stream->sent_ms = clock_monotonic_ms();
    }
    pthread_mutex_unlock(&events->mutex);
    return size;
}

static void free_stream(void *context)
{
    struct stream *stream = context;
    struct api_events *events = stream->events;
    pthread_mutex_lock(&events->mutex);
    struct channel *channel = stream->channel;
    struct stream **slot = &channel->streams;
    while (*slot && *slot != stream)
        slot = &(*slot)->next;
    if (*slot)
        *slot = stream->next;
    event_text_release(stream->text);
    free(stream);
    events->stream_count--;
    if (!channel->streams) {
        struct channel **place = &events->channels;
        while (*place != channel)
            place = &(*place)->next;
        *place = channel->next;
        event_text_release(channel->text);
        free(channel);
    }
    pthread_mutex_unlock(&events->mutex);
}

static unsigned count_address(const struct api_events *events, uint64_t address)
{
    unsigned count = 0;
    for (const struct channel *channel = events->channels; channel; channel = channel->next) {
        for (const struct stream *stream = channel->streams; stream; stream = stream->next)
            count += stream->address == address;
    }
    return count;
}

/* Whether one more may be opened. */
static int check_room(const struct api_events *events, uint64_t address, struct err *err)
{
    const struct api_events_options *options = &events->options;
    if (events->is_ending)
        return err_set(err, ERR_CANCELLED, "the daemon is stopping");
    if (events->stream_count >= options->streams_max)
        return err_set(err, ERR_RATE_LIMITED, "%u streams of events are open already; poll instead",
                       events->stream_count);
    if (address && count_address(events, address) >= options->streams_per_address)
        return err_set(err, ERR_RATE_LIMITED,
                       "this address has %u streams of events open already; end one of them, or poll instead",
                       options->streams_per_address);
    return 0;
}

int api_events_open(struct api_events *events, const struct api_request *request, int64_t sweep_id,
                    struct MHD_Response **ret_response, struct err *err)
{
    const uint64_t address = api_access_address(request);
    struct event_text *text = NULL;
    uint64_t version = 0;
    int is_over = 0;
    int code = event_text_render(events->context, sweep_id, &text, &version, &is_over, err);
    if (code)
        return code;
    struct stream *stream = calloc(1, sizeof *stream);
    struct channel *spare = calloc(1, sizeof *spare);
    pthread_mutex_lock(&events->mutex);
    code = stream && spare ? check_room(events, address, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (code) {
        pthread_mutex_unlock(&events->mutex);
        free(stream);
        free(spare);
        free(text);
        return code;
    }
    struct channel *channel = find_channel(events, sweep_id);
    if (!channel) {
        channel = spare;
        spare = NULL;
        channel->sweep_id = sweep_id;
        channel->next = events->channels;
        events->channels = channel;
    }
    stream->events = events;
    stream->channel = channel;
    stream->connection = request->connection;
    stream->address = address;
    stream->sent_ms = clock_monotonic_ms();
    stream->next = channel->streams;
    channel->streams = stream;
    events->stream_count++;
    channel_update(channel, text, version, is_over);
    pthread_mutex_unlock(&events->mutex);
    free(spare);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, stream, free_stream);
    if (!response) {
        free_stream(stream);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    *ret_response = response;
    return 0;
}

/* Renders every followed sweep that changed. One that cannot be read now is tried at the next change. */
static void update_channels(struct api_events *events)
{
    int64_t after = 0;
    struct api_hub_wait wait;
    api_context_read_hub_wait(events->context, &wait);
    for (;;) {
        /* The next followed sweep by number: the list may change while a sweep is read. */
        int64_t next = 0;
        uint64_t version = 0;
        pthread_mutex_lock(&events->mutex);
        for (struct channel *channel = events->channels; channel; channel = channel->next) {
            if (channel->sweep_id > after && (next == 0 || channel->sweep_id < next)) {
                next = channel->sweep_id;
                version = channel->version;
            }
        }
        pthread_mutex_unlock(&events->mutex);
        if (next == 0)
            return;
        after = next;
        struct err err = ERR_INIT;
        struct sweep_row row;
        struct event_text *text = NULL;
        int is_over = 0;
        if (sweeps_get(events->context->store, next, &row, &err) < 0 ||
            row.version + wait.serial == version ||
            event_text_render(events->context, next, &text, &version, &is_over, &err) < 0)
            continue;
        pthread_mutex_lock(&events->mutex);
        struct channel *channel = find_channel(events, next);
        if (channel)
            channel_update(channel, text, version, is_over);
        else
            free(text);
        pthread_mutex_unlock(&events->mutex);
    }
}

static void send_heartbeats(struct api_events *events)
{
    int64_t due_ms = clock_monotonic_ms() - events->options.heartbeat_ms;
    pthread_mutex_lock(&events->mutex);
    for (struct channel *channel = events->channels; channel; channel = channel->next) {
        for (struct stream *stream = channel->streams; stream; stream = stream->next) {
            if (!stream->is_suspended || stream->sent_ms > due_ms)
                continue;
            stream->wants_comment = 1;
            resume(stream);
        }
    }
    pthread_mutex_unlock(&events->mutex);
}

static void *run(void *context)
{
    struct api_events *events = context;
    struct store *store = events->context->store;
    uint64_t version = store_version(store);
    struct api_hub_wait wait, waited = {.reason = NULL};
    for (;;) {
        uint64_t now = store_wait_change(store, version, TICK_MS, NULL);
        pthread_mutex_lock(&events->mutex);
        int is_stopping = events->is_stopping;
        pthread_mutex_unlock(&events->mutex);
        if (is_stopping)
            return NULL;
        api_context_read_hub_wait(events->context, &wait);
        if (now != version || wait.serial != waited.serial) {
            version = now;
            waited = wait;
            update_channels(events);
            (void)pause_wait(events->pause, TICK_MS); /* a busy sweep changes many times a second */
        }
        send_heartbeats(events);
        api_http_tick(events->http);
    }
}

int api_events_start(const struct api_events_options *options, const struct api_context *context,
                     struct api_http *http, struct api_events **ret_events, struct err *err)
{
    struct api_events *events = calloc(1, sizeof *events);
    if (!events)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    events->context = context;
    events->http = http;
    events->options = *options;
    int code = pause_new(&events->pause, err);
    if (code) {
        free(events);
        return code;
    }
    pthread_mutex_init(&events->mutex, NULL);
    code = pthread_create(&events->thread, NULL, run, events);
    if (code) {
        pthread_mutex_destroy(&events->mutex);
        pause_free(events->pause);
        free(events);
        return err_set_errno(err, code, "thread of event streams");
    }
    *ret_events = events;
    return 0;
}

void api_events_end(struct api_events *events)
{
    pthread_mutex_lock(&events->mutex);
    events->is_ending = 1;
    for (struct channel *channel = events->channels; channel; channel = channel->next) {
        for (struct stream *stream = channel->streams; stream; stream = stream->next)
            resume(stream);
    }
    pthread_mutex_unlock(&events->mutex);
}

void api_events_free(struct api_events *events)
{
    if (!events)
        return;
    pthread_mutex_lock(&events->mutex);
    events->is_stopping = 1;
    pthread_mutex_unlock(&events->mutex);
    pause_end(events->pause);
    store_wake(events->context->store);
    (void)pthread_join(events->thread, NULL);
    pthread_mutex_destroy(&events->mutex);
    pause_free(events->pause);
    free(events);
}

unsigned api_events_count(struct api_events *events)
{
    pthread_mutex_lock(&events->mutex);
    unsigned count = events->stream_count;
    pthread_mutex_unlock(&events->mutex);
    return count;
}
