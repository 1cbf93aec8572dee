#include "api/client/commands.h"

#include "api/client/plain.h"
#include "api/client/progress.h"
#include "api/client/sweep_ids.h"
#include "api/client/sweep_outcome.h"
#include "api/client/terminal.h"
#include "daemon/base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 512
#define WIDTH_STANDARD 80
#define RETRIES_MAX 30
#define RETRY_MS 1000
#define LOG_LINE_MS 10000 /* between two lines of progress in a file or pipe */

/* What is on the screen of a sweep that is followed. */
struct view {
    const struct client_link *link;
    int is_terminal;
    size_t width;
    char last[LINE_SIZE]; /* the line printed last */
    char wait_reason[32]; /* of that line; "": none */
    int64_t printed_ms;   /* when, monotonic */
    json_t *sweep;        /* the newest state */
    int64_t taken_ms;     /* when it came, monotonic */
    int has_begun;        /* an event came since the stream was opened */
};

static void view_init(struct view *view, const struct client_link *link)
{
    size_t width = client_terminal_width(stderr);
    *view = (struct view){
        .link = link, .is_terminal = client_terminal_can_rewrite(stderr), .width = LINE_SIZE - 1};
    if (view->is_terminal)
        view->width = (width > 1 ? width : WIDTH_STANDARD) - 1;
}

/* In a log, which keeps every line, one now and then is enough, and what may be followed by silence: the
 * last, and that a wait for the hub has begun or is over. */
static void put_line(struct view *view, const char *line, const char *wait_reason, int is_last)
{
    int64_t now_ms = clock_monotonic_ms();
    int is_soon = !view->is_terminal && view->last[0] && now_ms - view->printed_ms < LOG_LINE_MS;
    int is_news = is_last || strcmp(wait_reason, view->wait_reason) != 0;
    if (strcmp(line, view->last) == 0 || (is_soon && !is_news))
        return;
    (void)snprintf(view->wait_reason, sizeof view->wait_reason, "%s", wait_reason);
    view->printed_ms = now_ms;
    if (view->is_terminal)
        (void)fprintf(stderr, "\r%s\033[K", line); /* no colour */
    else
        (void)fprintf(stderr, "%s\n", line);
    (void)fflush(stderr);
    (void)snprintf(view->last, sizeof view->last, "%s", line);
}

static void show(struct view *view)
{
    struct client_progress progress;
    char line[LINE_SIZE];
    client_progress_read(view->sweep, &progress);
    progress.wait_seconds -= (double)(clock_monotonic_ms() - view->taken_ms) / 1000.0;
    client_progress_format(&progress, view->width, view->is_terminal, line, sizeof line);
    put_line(view, line, progress.wait_reason, client_progress_is_over(&progress));
}

/* What is tried again is told as soon as it begins. */
static void show_away(struct view *view, const struct err *err)
{
    char line[LINE_SIZE];
    (void)snprintf(line, sizeof line, "trying again: %.400s",
                   err->message); /* often the daemon's own words */
    client_plain_text(line);
    line[client_terminal_fit(line, view->width, view->is_terminal)] = '\0';
    put_line(view, line, "away", 0);
}

/* A wait is counted down where a line can be written anew. */
static void tick(void *context)
{
    struct view *view = context;
    if (view->is_terminal && view->sweep && json_is_object(json_object_get(view->sweep, "hub_wait")))
        show(view);
}

static int take_event(void *context, const char *event, const char *data)
{
    struct view *view = context;
    struct client_progress progress;
    json_t *sweep = client_link_load(view->link, data, strlen(data));
    (void)event;
    if (!sweep)
        return 0;
    json_decref(view->sweep);
    view->sweep = sweep;
    view->taken_ms = clock_monotonic_ms();
    view->has_begun = 1;
    show(view);
    client_progress_read(sweep, &progress);
    return client_progress_is_over(&progress);
}

int client_follow_sweep(struct client_link *link, const struct client_arguments *arguments, int64_t id,
                        int prints_sweep)
{
    struct view view;
    struct err err = ERR_INIT;
    char target[64];
    int retries = 0;
    int code;
    view_init(&view, link);
    (void)snprintf(target, sizeof target, "/v1/sweeps/%" PRId64 "/events", id);
    for (;;) {
        view.has_begun = 0;
        code = client_link_follow(link, target, take_event, tick, &view, &err);
        if (view.has_begun)
            retries = 0;
        int may_pass = code == ERR_NETWORK || code == ERR_HTTP || code == ERR_RATE_LIMITED;
        if (!may_pass || !view.sweep || client_link_is_interrupted || ++retries > RETRIES_MAX)
            break;
        show_away(&view, &err);
        clock_sleep_ms(RETRY_MS);
    }
    if (view.is_terminal && view.last[0])
        (void)fputc('\n', stderr);
    int status = CLIENT_EXIT_DONE;
    if (client_link_is_interrupted) {
        (void)fprintf(stderr,
                      "The sweep goes on. `bifurcate follow %" PRId64 "` shows it again, `bifurcate cancel "
                      "%" PRId64 "` ends it.\n",
                      id, id);
        status = CLIENT_EXIT_INTERRUPTED;
    } else if (code) {
        status = client_report(&err);
    } else {
        struct client_progress progress;
        client_progress_read(view.sweep, &progress);
        if (prints_sweep && arguments->values[CLIENT_OPTION_JSON])
            client_print_json(view.sweep);
        if (prints_sweep || progress.failed || strcmp(progress.state, "done") != 0) {
            json_t *sweeps = json_pack("[O]", view.sweep);
            client_print_sweep_end(view.sweep);
            client_print_sweep_results(sweeps);
            json_decref(sweeps);
        }
        status = strcmp(progress.state, "done") == 0 ? CLIENT_EXIT_DONE : CLIENT_EXIT_FAILED;
    }
    json_decref(view.sweep);
    return status;
}

/* -- Several sweeps at once ------------------------------------------------------------------------------ */

/* One of several sweeps that are followed. */
struct followed {
    int64_t id;
    json_t *sweep; /* the newest state; NULL: not looked at yet */
    int is_over;
};

static int look_at(struct client_link *link, struct followed *one, struct err *err)
{
    char target[64];
    json_t *sweep = NULL;
    struct client_progress progress;
    (void)snprintf(target, sizeof target, "/v1/sweeps/%" PRId64, one->id);
    int code = client_link_get(link, target, &sweep, err);
    if (code)
        return code;
    json_decref(one->sweep);
    one->sweep = sweep;
    client_progress_read(sweep, &progress);
    one->is_over = client_progress_is_over(&progress);
    return 0;
}

/* A sweep's end stands above the line of progress. */
static void put_end(struct view *view, const json_t *sweep)
{
    if (view->is_terminal && view->last[0])
        (void)fputs("\r\033[K", stderr);
    if (view->is_terminal)
        view->last[0] = '\0';
    client_print_sweep_end(sweep);
}

static void put_sum(struct view *view, const struct followed *list, size_t count)
{
    struct client_progress_sum sum = {0};
    char line[LINE_SIZE];
    for (size_t i = 0; i < count; i++) {
        struct client_progress progress;
        client_progress_read(list[i].sweep, &progress);
        client_progress_add(&sum, &progress);
    }
    client_progress_format_sum(&sum, view->width, view->is_terminal, line, sizeof line);
    put_line(view, line, sum.whole.wait_reason, sum.over == count);
}

/* Looks at every sweep that is not over, until all are. */
static int refresh_all(struct client_link *link, struct view *view, struct followed *list, size_t count,
                       struct err *err)
{
    for (int retries = 0;;) {
        size_t open = 0;
        int code = 0;
        for (size_t i = 0; i < count && !code; i++) {
            if (list[i].is_over)
                continue;
            code = look_at(link, &list[i], err);
            if (!code && list[i].is_over)
                put_end(view, list[i].sweep);
            open += !list[i].is_over;
        }
        int may_pass = code == ERR_NETWORK || code == ERR_HTTP || code == ERR_RATE_LIMITED;
        if (client_link_is_interrupted || (code && (!may_pass || !list[0].sweep || ++retries > RETRIES_MAX)))
            return code;
        retries = code ? retries : 0;
        if (code)
            show_away(view, err);
        else if (count)
            put_sum(view, list, count);
        if (!code && open == 0)
            return 0;
        for (int i = 0; i < RETRY_MS / 100 && !client_link_is_interrupted; i++)
            clock_sleep_ms(100);
    }
}

static int sum_up(const struct client_arguments *arguments, const struct followed *list, size_t count)
{
    int status = CLIENT_EXIT_DONE;
    json_t *sweeps = json_array();
    for (size_t i = 0; i < count; i++) {
        struct client_progress progress;
        client_progress_read(list[i].sweep, &progress);
        (void)json_array_append(sweeps, list[i].sweep);
        if (strcmp(progress.state, "done") != 0)
            status = CLIENT_EXIT_FAILED;
    }
    client_print_sweep_results(sweeps);
    json_t *document = json_pack("{s:o}", "sweeps", sweeps);
    if (arguments->values[CLIENT_OPTION_JSON])
        client_print_json(document);
    json_decref(document);
    return status;
}

int client_follow_sweeps(struct client_link *link, const struct client_arguments *arguments,
                         const int64_t *ids, size_t count)
{
    struct view view;
    struct err err = ERR_INIT;
    /* Of "all that are active", whose number nobody knows, JSON is a list whatever their number. */
    const int is_list = arguments->word_count == 0 && arguments->values[CLIENT_OPTION_JSON];
    if (count == 1 && !is_list)
        return client_follow_sweep(link, arguments, ids[0], 1);
    struct followed *list = calloc(count ? count : 1, sizeof *list);
    if (!list) {
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for %zu sweeps", count);
        return client_report(&err);
    }
    for (size_t i = 0; i < count; i++)
        list[i].id = ids[i];
    view_init(&view, link);
    int code = refresh_all(link, &view, list, count, &err);
    if (view.is_terminal && view.last[0])
        (void)fputc('\n', stderr);
    int status = CLIENT_EXIT_DONE;
    if (client_link_is_interrupted) {
        (void)fputs("The sweeps go on. `bifurcate follow` shows all that are active again, `bifurcate cancel",
                    stderr);
        for (size_t i = 0; i < count; i++) {
            if (!list[i].is_over)
                (void)fprintf(stderr, " %" PRId64, list[i].id);
        }
        (void)fputs("` ends these.\n", stderr);
        status = CLIENT_EXIT_INTERRUPTED;
    } else if (code) {
        status = client_report(&err);
    } else {
        status = sum_up(arguments, list, count);
    }
    for (size_t i = 0; i < count; i++)
        json_decref(list[i].sweep);
    free(list);
    return status;
}

int client_run_follow(const struct client_arguments *arguments)
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    int64_t *ids = NULL;
    size_t count = 0;
    int status = CLIENT_EXIT_DONE;
    int code = client_parse_sweeps(arguments, &ids, &count, &err);
    if (!code)
        code = client_link_open(arguments, &link, &err);
    if (!code && arguments->word_count == 0) {
        free(ids);
        ids = NULL;
        code = client_find_sweeps(link, &ids, &count, &err);
    }
    if (code)
        status = client_report(&err);
    else if (count == 0 && !arguments->values[CLIENT_OPTION_JSON])
        (void)fputs("no sweep is active; `bifurcate sweeps` lists those that have ended\n", stderr);
    else
        status = client_follow_sweeps(link, arguments, ids, count);
    free(ids);
    client_link_close(link);
    return status;
}
