/* A tokenizer.json put together from parts, for the tests of the tokenizer. Include cmocka.h before. */
#ifndef BIFURCATED_TESTS_UNIT_TEXT_PARTS_H
#define BIFURCATED_TESTS_UNIT_TEXT_PARTS_H

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_encoder.h"

#include <stdio.h>
#include <string.h>

/* The parts of a tokenizer.json; NULL is a default that works. */
struct parts {
    const char *version;
    const char *normalizer;
    const char *pre_tokenizer;
    const char *post_processor;
    const char *decoder;
    const char *added_tokens;
    const char *model;
};

#define VOCAB                                                                                                \
    "\"a\":0,\"b\":1,\"c\":2,\"\\u0120\":3,\"ab\":4,\"aa\":5,\"\\u0120a\":6,\"abc\":7,\"1\":8,\"\\u00c3\":"  \
    "9,"                                                                                                     \
    "\"\\u00a9\":10,\"\\u00c3\\u00a9\":11,\"e\":12,\"?\":13,\"bc\":14"
#define MERGES "\"a b\",\"a a\",\"\\u0120 a\",\"ab c\",\"\\u00c3 \\u00a9\",\"b c\""
#define BPE(more) "{\"type\":\"BPE\"," more "\"vocab\":{" VOCAB "},\"merges\":[" MERGES "]}"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}"

static inline int load(struct parts parts, struct tokenizer **ret_tokenizer, struct err *err)
{
    struct buf json;
    buf_init(&json, MIB);
    (void)buf_appendf(
        &json,
        "{\"version\":%s,\"truncation\":null,\"padding\":null,\"added_tokens\":%s,"
        "\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,\"decoder\":%s,\"model\":%s}",
        parts.version ? parts.version : "\"1.0\"", parts.added_tokens ? parts.added_tokens : "[]",
        parts.normalizer ? parts.normalizer : "{\"type\":\"NFC\"}",
        parts.pre_tokenizer ? parts.pre_tokenizer : BYTE_LEVEL,
        parts.post_processor ? parts.post_processor : BYTE_LEVEL, parts.decoder ? parts.decoder : BYTE_LEVEL,
        parts.model ? parts.model : BPE(""));
    assert_false(json.failed);
    int code = tokenizer_load(json.data, json.size, ret_tokenizer, err);
    buf_free(&json);
    return code;
}

/* The ids as text: "4 3 1". */
static inline const char *encode(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    static char shown[256];
    struct err err = ERR_INIT;
    struct tokenizer_encoder *encoder = NULL;
    struct token_ids ids;
    token_ids_init(&ids, 1000);
    assert_int_equal(tokenizer_encoder_new(tokenizer, &encoder, &err), 0);
    /* The second time the words come out of the cache. */
    for (int round = 0; round < 2; round++) {
        ids.count = 0;
        assert_int_equal(tokenizer_encode(encoder, text, size, &ids, &err), 0);
        size_t length = 0;
        shown[0] = 0;
        for (size_t i = 0; i < ids.count; i++)
            length += (size_t)snprintf(shown + length, sizeof shown - length, i ? " %u" : "%u", ids.data[i]);
    }
    tokenizer_encoder_free(encoder);
    token_ids_free(&ids);
    return shown;
}

static inline void check(struct parts parts, const char *text, const char *expected)
{
    struct err err = ERR_INIT;
    struct tokenizer *tokenizer = NULL;
    if (load(parts, &tokenizer, &err))
        fail_msg("%s", err.message);
    assert_string_equal(encode(tokenizer, text, strlen(text)), expected);
    tokenizer_free(tokenizer);
}

#endif
