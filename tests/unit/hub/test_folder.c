/* A folder of checkpoints: which revision a commit is, and what finding it out may cost. */
#include "daemon/hub/folder.h"
#include "tests/unit/base/fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

static unsigned countdown; /* the copy of a text that there is no memory for; 0: none */

char *strdup(const char *text)
{
    static char *(*real)(const char *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "strdup");
    return countdown && --countdown == 0 ? NULL : real(text);
}

static const char *rewritten; /* a file that a trainer writes anew just before it is opened; NULL: none */

int open(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "open");
    if (rewritten && strcmp(path, rewritten) == 0)
        fixture_write_text(rewritten, "[]"); /* as long as before */
    return real(path, flags, mode);
}

static const char
    *failing; /* the end of a folder's path that cannot be opened, for the reason below; NULL: none */
static int failing_errno;
static int readdir_fails; /* with EIO */

DIR *opendir(const char *path)
{
    static DIR *(*real)(const char *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "opendir");
    size_t size = strlen(path), end_size = failing ? strlen(failing) : 0;
    if (failing && size >= end_size && strcmp(path + size - end_size, failing) == 0) {
        errno = failing_errno;
        return NULL;
    }
    return real(path);
}

struct dirent *readdir(DIR *stream)
{
    static struct dirent *(*real)(DIR *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "readdir");
    if (readdir_fails) {
        errno = EIO;
        return NULL;
    }
    return real(stream);
}

static int64_t now_ms; /* what all clocks say, if not 0; sleeping moves them on */

int clock_gettime(clockid_t id, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    if (!now_ms)
        return real(id, time);
    *time = (struct timespec){.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
    return 0;
}

int nanosleep(const struct timespec *duration, struct timespec *left)
{
    (void)left;
    now_ms += (int64_t)duration->tv_sec * 1000 + duration->tv_nsec / 1000000;
    return 0;
}

struct place {
    char *folder;
    struct folder_hints *hints;
    struct repository *repository;
};

static void write_file(const char *folder, const char *revision, const char *name, const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", folder, revision);
    assert_true(mkdir(path, 0700) == 0 || access(path, F_OK) == 0);
    (void)snprintf(path, sizeof path, "%s/%s/%s", folder, revision, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static atomic_bool cancel; /* of the repository */

static int open_place(void **state)
{
    static struct place place;
    char name[300];
    struct err err = ERR_INIT;
    void *folder = NULL;
    if (fixture_make_folder(&folder))
        return -1;
    place.folder = folder;
    write_file(place.folder, "a", "config.json", "{}");
    write_file(place.folder, "b", "config.json", "{ }");
    (void)snprintf(name, sizeof name, "file:%s", place.folder);
    *state = &place;
    return folder_hints_new(&place.hints, &err) ||
           folder_open_repository(name, place.hints, &cancel, &place.repository, &err);
}

static int close_place(void **state)
{
    struct place *place = *state;
    void *folder = place->folder;
    failing = NULL;
    repository_close(place->repository);
    folder_hints_free(place->hints);
    return fixture_remove_folder(&folder);
}

/* The bytes of config.json of a commit. */
static size_t size_of(struct place *place, const char *commit)
{
    struct buf buf;
    buf_init(&buf, 100);
    OK(repository_fetch_file(place->repository, commit, "config.json", NULL, &buf, &err));
    size_t size = buf.size;
    buf_free(&buf);
    return size;
}

/* From now on every look at all revisions fails. */
static void spoil(const struct place *place)
{
    write_file(place->folder, "damaged", "config.json", "{}");
    failing = "/damaged";
    failing_errno = EIO;
}

static void a_known_commit_costs_one_revision(void **state)
{
    struct place *place = *state;
    char commit[REPOSITORY_COMMIT_SIZE];
    struct repository_tree *tree = NULL;
    struct source *source = NULL;
    OK(repository_resolve(place->repository, "b", commit, &err));
    spoil(place);
    OK(repository_list_tree(place->repository, commit, &tree, &err));
    assert_int_equal(tree->count, 1);
    assert_string_equal(tree->commit, commit);
    repository_tree_free(tree);
    OK(repository_open_file(place->repository, commit, "config.json", NULL, &source, &err));
    assert_true(source->size_bytes == 3);
    source_close(source);
    assert_int_equal(size_of(place, commit), 3);
    OK(repository_resolve(place->repository, commit, commit, &err));
}

static void listing_makes_commits_known(void **state)
{
    struct place *place = *state;
    struct repository_refs *refs = NULL;
    OK(repository_list_refs(place->repository, &refs, &err));
    assert_int_equal(refs->count, 2);
    spoil(place);
    assert_int_equal(size_of(place, refs->rows[0].commit), 2);
    assert_int_equal(size_of(place, refs->rows[1].commit), 3);
    repository_refs_free(refs);
}

/* What a disk or a server does not give is not gone: who took it for that would report its revisions as gone.
 * What is not for us, as lost+found, is no revision. */
static void what_fails_is_not_gone(void **state)
{
    struct place *place = *state;
    struct repository_refs *refs = NULL;
    const int passed_over[] = {ENOENT, ENOTDIR, EACCES}, told[] = {EIO, EMFILE, ESTALE, ENOMEM};
    failing = "/b";
    for (size_t i = 0; i < sizeof passed_over / sizeof passed_over[0]; i++) {
        failing_errno = passed_over[i];
        OK(repository_list_refs(place->repository, &refs, &err));
        assert_int_equal(refs->count, 1);
        repository_refs_free(refs);
    }
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        struct err err = ERR_INIT;
        failing_errno = told[i];
        refs = NULL;
        assert_int_not_equal(repository_list_refs(place->repository, &refs, &err), 0);
        assert_non_null(strstr(err.message, "/b: cannot be read: "));
        assert_null(refs);
    }
    failing = NULL;
    readdir_fails = 1;
    FAILS(ERR_IO, "cannot be read to its end", repository_list_refs(place->repository, &refs, &err));
    readdir_fails = 0;
    OK(repository_list_refs(place->repository, &refs, &err));
    assert_int_equal(refs->count, 2);
    repository_refs_free(refs);
}

/* A name that no answer could hold is nobody's revision; those beside it are what they were. */
static void odd_names_are_passed_over(void **state)
{
    struct place *place = *state;
    struct repository_refs *refs = NULL;
    static const char *const names[] = {"\xe9poque", "new\nline", "bell\a", "delete\x7f"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        write_file(place->folder, names[i], "config.json", "{}");
    OK(repository_list_refs(place->repository, &refs, &err));
    assert_int_equal(refs->count, 2);
    assert_string_equal(refs->rows[0].name, "a");
    assert_string_equal(refs->rows[1].name, "b");
    repository_refs_free(refs);
}

static void a_wrong_hint_misleads_nobody(void **state)
{
    struct place *place = *state;
    char commit[REPOSITORY_COMMIT_SIZE], other[REPOSITORY_COMMIT_SIZE];
    OK(repository_resolve(place->repository, "a", commit, &err));
    folder_hints_put(place->hints, commit, "b");
    assert_int_equal(size_of(place, commit), 2);
    folder_hints_put(place->hints, commit, "gone");
    assert_int_equal(size_of(place, commit), 2);
    write_file(place->folder, "a", "config.json", "{  }");
    struct repository_tree *tree = NULL;
    FAILS(ERR_MISMATCH, "changed since", repository_list_tree(place->repository, commit, &tree, &err));
    OK(repository_resolve(place->repository, "a", other, &err));
    assert_string_not_equal(commit, other);
    FAILS(ERR_MISMATCH, "changed since", repository_list_tree(place->repository, "x", &tree, &err));
    folder_hints_put(place->hints, commit, "gone");
    FAILS(ERR_MISMATCH, "gone was deleted since",
          repository_list_tree(place->repository, commit, &tree, &err));
}

/* Between the look at the folder and the opening of the file, by its name alone. */
static void what_is_opened_is_of_the_commit(void **state)
{
    const struct place *place = *state;
    const struct timespec long_ago[] = {{.tv_sec = 7}, {.tv_sec = 7}};
    char path[300], commit[REPOSITORY_COMMIT_SIZE];
    struct source *source = NULL;
    struct buf buf;
    (void)snprintf(path, sizeof path, "%s/a/config.json", place->folder);
    for (int is_fetched = 0; is_fetched < 2; is_fetched++) {
        buf_init(&buf, 100);
        assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
        OK(repository_resolve(place->repository, "a", commit, &err));
        rewritten = path;
        FAILS(ERR_MISMATCH, "changed meanwhile",
              is_fetched
                  ? repository_fetch_file(place->repository, commit, "config.json", NULL, &buf, &err)
                  : repository_open_file(place->repository, commit, "config.json", NULL, &source, &err));
        rewritten = NULL;
        buf_free(&buf);
    }
    assert_null(source);
}

/* A file system whose clock ticks so seldom gives a file that is written now this time. */
static void write_at_tick(const char *path, const char *text, int64_t tick_ms)
{
    int64_t time_ms = now_ms / tick_ms * tick_ms;
    const struct timespec time = {.tv_sec = time_ms / 1000, .tv_nsec = time_ms % 1000 * 1000000};
    const struct timespec times[] = {time, time};
    fixture_write_text(path, text);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* A trainer that writes again within the tick that gave a file its time would not be seen: no file is opened
 * until that is over. What the trainer has left alone waits for nothing. */
static void what_is_written_within_a_tick_is_told(void **state)
{
    static const int64_t ticks_ms[] = {2000, 1000, 10};
    const struct place *place = *state;
    char path[300], commit[REPOSITORY_COMMIT_SIZE];
    struct source *source = NULL;
    (void)snprintf(path, sizeof path, "%s/a/config.json", place->folder);
    for (size_t i = 0; i < sizeof ticks_ms / sizeof ticks_ms[0]; i++) {
        now_ms = INT64_C(1800000000010);
        write_at_tick(path, "{}", ticks_ms[i]);
        OK(repository_resolve(place->repository, "a", commit, &err));
        OK(repository_open_file(place->repository, commit, "config.json", NULL, &source, &err));
        write_at_tick(path, "[]", ticks_ms[i]);
        char bytes[2];
        FAILS(ERR_MISMATCH, "changed while it was read", source_read(source, 0, bytes, 2, &err));
        source_close(source);
        OK(repository_resolve(place->repository, "a", commit, &err));
        now_ms += 2100;
        for (int64_t before_ms = now_ms, times = 0; times < 2; times++, before_ms = now_ms += 3600000) {
            OK(repository_open_file(place->repository, commit, "config.json", NULL, &source, &err));
            source_close(source);
            assert_int_equal(now_ms, before_ms);
        }
    }
    now_ms = 0;
}

/* Whoever does not want the file any more waits for no tick. */
static void the_wait_for_a_tick_is_cancelled(void **state)
{
    const struct place *place = *state;
    char path[300], commit[REPOSITORY_COMMIT_SIZE];
    struct source *source = NULL;
    (void)snprintf(path, sizeof path, "%s/a/config.json", place->folder);
    now_ms = INT64_C(1800000000010);
    const int64_t before_ms = now_ms;
    write_at_tick(path, "{}", 1000);
    OK(repository_resolve(place->repository, "a", commit, &err));
    atomic_store(&cancel, 1);
    FAILS(ERR_CANCELLED, "cancelled",
          repository_open_file(place->repository, commit, "config.json", NULL, &source, &err));
    assert_int_equal(now_ms, before_ms);
    atomic_store(&cancel, 0);
    OK(repository_open_file(place->repository, commit, "config.json", NULL, &source, &err));
    assert_true(now_ms >= before_ms + 1000);
    source_close(source);
    now_ms = 0;
}

/* A copy of a repository has its branch "main" as a folder; a checkpoint beside it comes before it. */
static void main_is_a_folder_too(void **state)
{
    struct place *place = *state;
    char inner[REPOSITORY_COMMIT_SIZE], outer[REPOSITORY_COMMIT_SIZE];
    struct repository_refs *refs = NULL;
    FAILS(ERR_NOT_FOUND, "it is no checkpoint itself but holds 2 (a and b); name one as the revision",
          repository_resolve(place->repository, "main", inner, &err));
    write_file(place->folder, "main", "config.json", "{    }");
    OK(repository_list_refs(place->repository, &refs, &err));
    assert_int_equal(refs->count, 3);
    assert_string_equal(refs->rows[2].name, "main");
    OK(repository_resolve(place->repository, "main", inner, &err));
    assert_string_equal(refs->rows[2].commit, inner);
    repository_refs_free(refs);
    assert_int_equal(size_of(place, inner), 6);
    write_file(place->folder, ".", "config.json", "{     }");
    OK(repository_resolve(place->repository, "main", outer, &err));
    assert_string_not_equal(inner, outer);
    assert_int_equal(size_of(place, outer), 7);
    OK(repository_list_refs(place->repository, &refs, &err));
    assert_int_equal(refs->count, 3);
    repository_refs_free(refs);
}

/* Short of memory, the checkpoint of the folder itself is not taken for one in its subfolder. */
static void main_is_never_another(void **state)
{
    struct place *place = *state;
    char commit[REPOSITORY_COMMIT_SIZE], other[REPOSITORY_COMMIT_SIZE];
    unsigned call = 0, failures = 0;
    write_file(place->folder, "main", "config.json", "{    }");
    write_file(place->folder, ".", "config.json", "{     }");
    OK(repository_resolve(place->repository, "main", commit, &err));
    do {
        struct err err = ERR_INIT;
        countdown = ++call;
        int code = repository_resolve(place->repository, "main", other, &err);
        failures += code != 0;
        if (code)
            assert_int_equal(code, ERR_NO_MEMORY);
        else
            assert_string_equal(other, commit);
    } while (countdown == 0); /* the last time no call was left to fail */
    countdown = 0;
    assert_true(failures >= 3);
}

/* Eight levels of twelve links each would be 400 million folders. */
static void links_in_circles_end(void **state)
{
    const struct place *place = *state;
    char link[300], commit[REPOSITORY_COMMIT_SIZE];
    (void)snprintf(link, sizeof link, "%s/c", place->folder);
    assert_int_equal(mkdir(link, 0700), 0);
    for (int i = 0; i < 12; i++) {
        (void)snprintf(link, sizeof link, "%s/c/%d", place->folder, i);
        assert_int_equal(symlink(".", link), 0);
    }
    FAILS(ERR_LIMIT, "in a circle", repository_resolve(place->repository, "c", commit, &err));
    OK(repository_resolve(place->repository, "a", commit, &err));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)
    const struct CMUnitTest tests[] = {
        TEST(a_known_commit_costs_one_revision),
        TEST(listing_makes_commits_known),
        TEST(what_fails_is_not_gone),
        TEST(odd_names_are_passed_over),
        TEST(a_wrong_hint_misleads_nobody),
        TEST(what_is_opened_is_of_the_commit),
        TEST(what_is_written_within_a_tick_is_told),
        TEST(the_wait_for_a_tick_is_cancelled),
        TEST(main_is_a_folder_too),
        TEST(main_is_never_another),
        TEST(links_in_circles_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
