/*
 * The log: one line per event on standard error, as key=value words for people or as JSON for machines.
 *
 * Only the code that owns a job, a request or the process logs, once; libraries return errors. Values are
 * escaped, so foreign text cannot forge lines. Safe from any thread.
 *
 *     log_info("sweep finished", log_text("model", name), log_int("revisions", count), log_end);
 */
#ifndef BIFURCATED_BASE_LOG_H
#define BIFURCATED_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_kind { LOG_KIND_END, LOG_KIND_TEXT, LOG_KIND_INT, LOG_KIND_REAL };

struct log_field {
    enum log_kind kind;
    const char *key;
    const char *text;
    int64_t integer;
    double real;
};

/* Sets what is written and how; may be called again at any time (SIGHUP). */
void log_configure(enum log_level level, enum log_format format);

/* Whether lines of this level are written now. */
int log_is_on(enum log_level level);

/* Parses "debug", "info", "warning", "error"; returns 0 and leaves *level for anything else. */
int log_parse_level(const char *text, enum log_level *level);

static inline struct log_field log_text(const char *key, const char *value)
{
    return (struct log_field){.kind = LOG_KIND_TEXT, .key = key, .text = value ? value : ""};
}

static inline struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){.kind = LOG_KIND_INT, .key = key, .integer = value};
}

static inline struct log_field log_real(const char *key, double value)
{
    return (struct log_field){.kind = LOG_KIND_REAL, .key = key, .real = value};
}

/* Writes one line; `fields` ends with a field of kind LOG_KIND_END. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* The same as an event of level info, whatever the least level is, into another file. Returns 0, or the errno
 * of writing; a part of a line may be written then. */
int log_write_to(int fd, const char *event, const struct log_field *fields);

#define log_end ((struct log_field){.kind = LOG_KIND_END})
#define log_event(level, event, ...) log_write((level), (event), (const struct log_field[]){__VA_ARGS__})
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)

#endif
