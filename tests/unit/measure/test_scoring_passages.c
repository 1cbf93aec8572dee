#include "tests/unit/base/fixture.h"

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/measure/file_digests.h"
#include "daemon/measure/scoring_identity.h"
#include "daemon/measure/scoring_passages.h"

#include <pthread.h>
#include <stdbool.h>

#define TOKENIZER "tests/fixtures/garden/hub/models/garden/neox-tiny/_shared/tokenizer.json"
#define ONE                                                                                                  \
    "{\"text\": \"In the beginning God created the heaven\", \"verse\": \"and the earth was without "        \
    "form\"}\n"

/* A request for texts in a file of the test's folder, with the garden's tokenizer. */
struct texts {
    const char *path;
    struct source *source;
    struct scoring_request request;
    struct scoring_identity identity;
    struct score_config config;
    struct scoring_tokenizer tokenizer;
    struct scoring_texts texts;
};

static void texts_open(struct texts *t, const char *path, struct passages_cache *cache)
{
    *t = (struct texts){.path = path};
    OK(source_open_file(path, &t->source, &err));
    t->config.max_positions = 64;
    t->request = (struct scoring_request){.data = t->source, .passages = cache};
    scoring_tokenizer_init(&t->tokenizer);
    OK(file_read(TOKENIZER, &t->tokenizer.file, &err));
    OK(digest_sha256_hex(t->tokenizer.file.data, t->tokenizer.file.size, t->identity.tokenizer_digest, &err));
    t->texts = (struct scoring_texts){.request = &t->request,
                                      .identity = &t->identity,
                                      .tokenizer = &t->tokenizer,
                                      .foreign = "",
                                      .context_tokens = 64,
                                      .prefix_id = 0};
}

/* What scoring_open finds out before the texts are read. */
static void identify(struct texts *t)
{
    OK(file_digests_get(NULL, t->source, NULL, t->identity.dataset_digest, &err));
    const struct tokenizer_use use = {.prefix_id = t->texts.prefix_id, .start_id = -1};
    OK(scoring_identity_write_parameters(&t->request, &t->config, &use, t->identity.parameters,
                                         sizeof t->identity.parameters, &err));
}

static void texts_close(struct texts *t)
{
    source_close(t->source);
    scoring_tokenizer_free(&t->tokenizer);
}

static const struct passages *acquire(struct texts *t)
{
    const struct passages *passages = NULL;
    identify(t);
    OK(scoring_passages_acquire(&t->texts, &passages, &err));
    return passages;
}

/* The same texts are tokenised once; whatever changes them is another entry. */
static void test_once(void **state)
{
    const char *path = fixture_path(*state, "x.jsonl");
    struct passages_cache *cache = NULL;
    struct passages_cache_counters counters;
    struct texts t;
    OK(passages_cache_new(MIB, &cache, &err));
    fixture_write_text(path, ONE ONE);
    texts_open(&t, path, cache);
    const struct passages *held[8];
    size_t count = 0;
    held[count++] = acquire(&t);
    held[count++] = acquire(&t);
    assert_ptr_equal(held[0], held[1]);
    assert_int_equal(held[0]->count, 2);
    t.request.dataset.limit = 1;
    held[count++] = acquire(&t);
    assert_int_equal(held[2]->count, 1);
    t.request.dataset.field = "verse";
    held[count++] = acquire(&t);
    t.request.mode = PASSAGES_MODE_TEXT_MEAN;
    held[count++] = acquire(&t);
    t.request.mode = PASSAGES_MODE_TOKENS;
    held[count++] = acquire(&t);
    t.request.window_tokens = 5;
    held[count++] = acquire(&t);
    t.texts.context_tokens = 32;
    held[count++] = acquire(&t);
    for (size_t i = 1; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            assert_ptr_not_equal(held[i], held[j]);
    passages_cache_count(cache, &counters);
    assert_int_equal(counters.hit_count, 1);
    assert_int_equal(counters.entry_count, count - 1);
    for (size_t i = 0; i < count; i++)
        passages_cache_give_back(cache, held[i]);
    texts_close(&t);
    passages_cache_free(cache);
}

/* Equal bytes under another name are other texts, and another identity. */
static void test_kind_is_part_of_the_identity(void **state)
{
    const char *lines = fixture_path(*state, "x.jsonl"), *whole = fixture_path(*state, "x.txt");
    struct passages_cache *cache = NULL;
    struct texts one, other;
    OK(passages_cache_new(MIB, &cache, &err));
    fixture_write_text(lines, ONE ONE);
    fixture_write_text(whole, ONE ONE);
    texts_open(&one, lines, cache);
    texts_open(&other, whole, cache);
    const struct passages *first = acquire(&one), *second = acquire(&other);
    assert_string_equal(one.identity.dataset_digest, other.identity.dataset_digest);
    assert_string_equal(one.identity.parameters, "{\"context\":64}");
    assert_string_equal(other.identity.parameters, "{\"context\":64,\"kind\":\"text\"}");
    assert_int_equal(first->text_count, 2);
    assert_int_equal(second->text_count, 1);
    passages_cache_give_back(cache, first);
    passages_cache_give_back(cache, second);
    texts_close(&one);
    texts_close(&other);
    passages_cache_free(cache);
}

/* What config.json says of how texts are cut is part of the identity; GPT-NeoX's own numbers are left out. */
static void test_context_and_prefix_are_part_of_the_identity(void **state)
{
    static const struct {
        enum passages_mode mode;
        uint64_t max_positions;
        int64_t prefix_id;
        const char *field, *parameters;
    } cases[] = {
        {PASSAGES_MODE_LAST_WORD, 2048, 0, NULL, "{}"},
        {PASSAGES_MODE_LAST_WORD, 64, 0, NULL, "{\"context\":64}"},
        {PASSAGES_MODE_TEXT_MEAN, 2048, 5, NULL, "{\"prefix\":5}"},
        {PASSAGES_MODE_TEXT_MEAN, 64, PASSAGES_NO_PREFIX, "verse",
         "{\"context\":64,\"field\":\"verse\",\"prefix\":null}"},
        {PASSAGES_MODE_TOKENS, 64, 5, NULL, "{\"stride\":32,\"window\":64}"},
    };
    const char *path = fixture_path(*state, "x.jsonl");
    struct texts t;
    fixture_write_text(path, ONE);
    texts_open(&t, path, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        t.request.mode = cases[i].mode;
        t.request.dataset.field = cases[i].field;
        t.config.max_positions = cases[i].max_positions;
        t.texts.prefix_id = cases[i].prefix_id;
        identify(&t);
        assert_string_equal(t.identity.parameters, cases[i].parameters);
    }
    texts_close(&t);
}

/* A file that is rewritten in place after its digest was taken. */
static void test_data_that_moves(void **state)
{
    const char *path = fixture_path(*state, "x.jsonl");
    struct passages_cache *cache = NULL;
    struct passages_cache_counters counters;
    const struct passages *passages = NULL;
    struct texts t;
    OK(passages_cache_new(MIB, &cache, &err));
    fixture_write_text(path, ONE ONE);
    texts_open(&t, path, cache);
    identify(&t);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 10, SEEK_SET), 0);
    assert_int_equal(fputc('X', file), 'X');
    assert_int_equal(fclose(file), 0);
    FAILS(ERR_MISMATCH, "x.jsonl changed while it was read",
          scoring_passages_acquire(&t.texts, &passages, &err));
    assert_null(passages);
    passages_cache_count(cache, &counters);
    assert_int_equal(counters.entry_count, 0);
    texts_close(&t);
    passages_cache_free(cache);
}

/* A source whose reader takes so long that whoever wants the same texts comes meanwhile. */
static int read_slowly(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    (void)source;
    (void)err;
    clock_sleep_ms(50);
    memcpy(data, ONE ONE + offset, size);
    return 0;
}

static void close_nothing(struct source *source)
{
    (void)source;
}

struct wanter {
    struct texts *texts;
    pthread_barrier_t *start;
    pthread_t thread;
    struct err err;
    const struct passages *passages;
    int code;
};

static void *want(void *context)
{
    struct wanter *wanter = context;
    (void)pthread_barrier_wait(wanter->start);
    wanter->code = scoring_passages_acquire(&wanter->texts->texts, &wanter->passages, &wanter->err);
    return NULL;
}

/* The fetchers of a sweep begin together. */
static void test_one_of_many_tokenises(void **state)
{
    const struct source_ops ops = {.read = read_slowly, .close = close_nothing};
    struct source slow = {.ops = &ops, .name = "slow.jsonl", .size_bytes = sizeof ONE ONE - 1};
    struct wanter wanters[8];
    struct passages_cache *cache = NULL;
    struct passages_cache_counters counters;
    pthread_barrier_t start;
    struct texts t;
    const char *path = fixture_path(*state, "x.jsonl");
    OK(passages_cache_new(MIB, &cache, &err));
    fixture_write_text(path, ONE ONE);
    texts_open(&t, path, cache);
    identify(&t);
    t.request.data = &slow;
    assert_int_equal(pthread_barrier_init(&start, NULL, COUNT_OF(wanters)), 0);
    for (size_t i = 0; i < COUNT_OF(wanters); i++) {
        wanters[i] = (struct wanter){.texts = &t, .start = &start, .err = (struct err)ERR_INIT};
        assert_int_equal(pthread_create(&wanters[i].thread, NULL, want, &wanters[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(wanters); i++) {
        assert_int_equal(pthread_join(wanters[i].thread, NULL), 0);
        assert_int_equal(wanters[i].code, 0);
        assert_ptr_equal(wanters[i].passages, wanters[0].passages);
    }
    passages_cache_count(cache, &counters);
    assert_int_equal(counters.miss_count, 1);
    assert_int_equal(counters.hit_count, COUNT_OF(wanters) - 1);
    for (size_t i = 0; i < COUNT_OF(wanters); i++)
        passages_cache_give_back(cache, wanters[i].passages);
    (void)pthread_barrier_destroy(&start);
    texts_close(&t);
    passages_cache_free(cache);
}

/* A source of one text and very many blank lines, the reading of whose end cancels. */
static char late[2 * MIB];
static atomic_bool is_late;

static int read_late(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    (void)source;
    (void)err;
    atomic_store(&is_late, offset + size == sizeof late);
    memcpy(data, late + offset, size);
    return 0;
}

/* While the lines are read, and, behind the limit, while they are hashed: both may be much. */
static void test_reading_and_hashing_are_cancelled(void **state)
{
    const struct source_ops ops = {.read = read_late, .close = close_nothing};
    struct source source = {.ops = &ops, .name = "late.jsonl", .size_bytes = sizeof late};
    const char *path = fixture_path(*state, "x.jsonl");
    struct passages_cache *cache = NULL;
    const struct passages *passages = NULL;
    struct texts t;
    memset(late, '\n', sizeof late);
    memcpy(late, ONE, sizeof ONE - 1);
    OK(passages_cache_new(MIB, &cache, &err));
    fixture_write_text(path, ONE);
    texts_open(&t, path, cache);
    t.request.mode = PASSAGES_MODE_TOKENS;
    t.request.data = &source;
    OK(file_digests_get(NULL, &source, NULL, t.identity.dataset_digest, &err));
    atomic_store(&is_late, false);
    t.request.cancel = &is_late;
    FAILS(ERR_CANCELLED, "late.jsonl: reading was", scoring_passages_acquire(&t.texts, &passages, &err));
    atomic_store(&is_late, false);
    t.request.dataset.limit = 1; /* what is left is read for its digest alone */
    FAILS(ERR_CANCELLED, "late.jsonl: hashing was", scoring_passages_acquire(&t.texts, &passages, &err));
    assert_null(passages);
    texts_close(&t);
    passages_cache_free(cache);
}

static void test_errors(void **state)
{
    const char *path = fixture_path(*state, "x.jsonl");
    struct passages_cache *cache = NULL;
    const struct passages *passages = NULL;
    atomic_bool cancel = true;
    struct texts t;
    OK(passages_cache_new(MIB, &cache, &err));
    fixture_write_text(path, ONE "{\"text\": 3}\n" ONE);
    texts_open(&t, path, cache);
    identify(&t);
    FAILS(ERR_FORMAT, "line 2", scoring_passages_acquire(&t.texts, &passages, &err));
    t.request.cancel = &cancel;
    FAILS(ERR_CANCELLED, "cancelled", scoring_passages_acquire(&t.texts, &passages, &err));
    t.request.cancel = NULL;
    t.tokenizer.file.data[0] = '[';
    FAILS(ERR_FORMAT, "tokenizer.json", scoring_passages_acquire(&t.texts, &passages, &err));
    texts_close(&t);
    passages_cache_free(cache);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_make_folder, fixture_remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_once),
        IN_FOLDER(test_kind_is_part_of_the_identity),
        IN_FOLDER(test_context_and_prefix_are_part_of_the_identity),
        IN_FOLDER(test_data_that_moves),
        IN_FOLDER(test_one_of_many_tokenises),
        IN_FOLDER(test_reading_and_hashing_are_cancelled),
        IN_FOLDER(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
