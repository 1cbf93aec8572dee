#include "daemon/hub/token.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct token {
    const struct hub_options *options;
    pthread_mutex_t look_lock; /* guards the next two */
    struct stat seen;          /* the file whose content counts; all 0: none yet */
    struct err told;           /* why what is there now does not count, as it was told */
    pthread_mutex_t lock;      /* guards all below */
    uint64_t serial;
    char text[TOKEN_SIZE];
};

int token_parse(const char *raw, const char *place, char *text, struct err *err)
{
    size_t begin = strspn(raw, " \t\r\n"), end = strlen(raw);
    while (end > begin && strchr(" \t\r\n", raw[end - 1]))
        end--;
    if (end - begin >= TOKEN_SIZE)
        return err_set(err, ERR_INVALID, "%s: has %zu bytes, which is not a token: correct it", place,
                       end - begin);
    for (size_t i = begin; i < end; i++) {
        unsigned char c = (unsigned char)raw[i];
        if (c <= 0x20 || c >= 0x7f)
            return err_set(err, ERR_INVALID,
                           "%s: the token has a character that no token can have: correct it", place);
    }
    memcpy(text, raw + begin, end - begin);
    text[end - begin] = 0;
    return 0;
}

int token_read_file(const char *path, char *text, struct err *err)
{
    struct buf raw;
    buf_init(&raw, (size_t)2 * TOKEN_SIZE);
    int code = file_read(path, &raw, err);
    if (!code && memchr(buf_text(&raw), 0, raw.size))
        code = err_set(err, ERR_INVALID, "%s: holds a zero byte, which no token has: correct it", path);
    if (!code)
        code = token_parse(buf_text(&raw), path, text, err);
    if (!code && !text[0])
        code = err_set(err, ERR_FORMAT, "%s: the file is empty", path);
    buf_free(&raw);
    return code;
}

int token_new(const struct hub_options *options, struct token **ret_token, struct err *err)
{
    struct token *token = calloc(1, sizeof *token);
    if (!token)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    token->options = options;
    token->serial = 1;
    if (options->token_problem)
        (void)snprintf(token->told.message, sizeof token->told.message, "%s", options->token_problem);
    if (options->token && token_parse(options->token, "hub: the token", token->text, err)) {
        free(token);
        return err->code;
    }
    (void)pthread_mutex_init(&token->look_lock, NULL);
    (void)pthread_mutex_init(&token->lock, NULL);
    *ret_token = token;
    return 0;
}

void token_free(struct token *token)
{
    if (!token)
        return;
    (void)pthread_mutex_destroy(&token->look_lock);
    (void)pthread_mutex_destroy(&token->lock);
    free(token);
}

static int is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void tell(const struct token *token, int has_token, const char *problem)
{
    const struct hub_options *options = token->options;
    const struct hub_token_news news = {
        .path = options->token_path, .has_token = has_token, .problem = problem};
    if (options->tell_token)
        options->tell_token(options->tell_context, &news);
}

/* What cannot be used is told once, and tried again each time: it may be of the disk, not of the file. */
static void keep(struct token *token, const struct err *reason)
{
    char present[TOKEN_SIZE];
    if (strcmp(token->told.message, reason->message) == 0)
        return;
    token->told = *reason;
    (void)token_copy(token, present);
    tell(token, present[0] != 0, reason->message);
}

static void take(struct token *token, const char *text)
{
    (void)pthread_mutex_lock(&token->lock);
    int is_new = strcmp(token->text, text) != 0;
    if (is_new) {
        (void)snprintf(token->text, sizeof token->text, "%s", text);
        token->serial++;
    }
    (void)pthread_mutex_unlock(&token->lock);
    token->told = (struct err)ERR_INIT;
    if (is_new)
        tell(token, text[0] != 0, NULL);
}

static void look(struct token *token)
{
    const char *path = token->options->token_path;
    char text[TOKEN_SIZE];
    struct err reason = ERR_INIT;
    struct stat status = {0};
    int is_gone = stat(path, &status) != 0 && errno == ENOENT;
    if (!is_gone && token->seen.st_ino && is_same_file(&status, &token->seen))
        return;
    /* What is written between the two calls is seen the next time. */
    int code = is_gone ? ERR_NOT_FOUND : token_read_file(path, text, &reason);
    token->seen = (struct stat){0};
    if (code == ERR_NOT_FOUND) {
        take(token, "");
    } else if (code) {
        keep(token, &reason);
    } else {
        token->seen = status;
        take(token, text);
    }
}

uint64_t token_refresh(struct token *token)
{
    if (token->options->token_path) {
        (void)pthread_mutex_lock(&token->look_lock);
        look(token);
        (void)pthread_mutex_unlock(&token->look_lock);
    }
    (void)pthread_mutex_lock(&token->lock);
    uint64_t serial = token->serial;
    (void)pthread_mutex_unlock(&token->lock);
    return serial;
}

uint64_t token_copy(struct token *token, char *text)
{
    (void)pthread_mutex_lock(&token->lock);
    uint64_t serial = token->serial;
    (void)snprintf(text, TOKEN_SIZE, "%s", token->text);
    (void)pthread_mutex_unlock(&token->lock);
    return serial;
}
