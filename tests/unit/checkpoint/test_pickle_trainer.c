#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/checkpoint/state_dict.h"
#include "tests/unit/checkpoint/pickles.h"

#include <stdio.h>
#include <string.h>

#define RANKS "X\x0d\0\0\0mp_world_size"
#define ARGS "X\4\0\0\0args"
#define TENSOR_RANKS "X\x1a\0\0\0tensor_model_parallel_size"
#define PIPELINE_RANKS "X\x1c\0\0\0pipeline_model_parallel_size"
#define ROWS "X\x11\0\0\0padded_vocab_size"

/* What a trainer keeps beside tensors: later protocols, instances, sets, bytes, names of which nothing is
 * known. */
static void test_what_trainers_keep(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        const char *names, *plain; /* and why it is no plain state dict */
    } cases[] = {
        {BYTES("\x80\2}(" TEXT_1("n") "cargparse\nNamespace\n)\x81}" TEXT_1("x") "K\1sb" TEXT_1("a") GOOD
               "u."),
         "a ", "argparse.Namespace is not allowed"},
        {BYTES(
             "\x80\4\x95\0\0\0\0\0\0\0\0}\x94(\x8c\1n\x94\x8c\1m\x94\x8c\1c\x94\x93\x94)}\x92\x8c\1a\x94" GOOD
             "u."),
         "a ", "pickle protocol 4"},
        {BYTES("\x80\2}(" TEXT_1("s") "\x8f(K\1\x90" TEXT_1("f") "(K\1\x91" TEXT_1("b") "C\1x" TEXT_1("a")
                   GOOD "u."),
         "a ", "EMPTY_SET"},
        {BYTES("\x80\2}(" TEXT_1("l") "\x8a\x09\0\0\0\0\0\0\0\0\1" TEXT_1("a") GOOD "u."), "a ",
         "9 bytes is too large"},
        {BYTES("\x80\2}(" TEXT_1("d") "cx\ny\n)R(K\1K\2u" TEXT_1("a") GOOD "u."), "a ", "x.y is not allowed"},
        {BYTES("\x80\2}(" TEXT_1("d") "cx\ny\n)R)R" TEXT_1("a") GOOD "u."), "a ", "x.y is not allowed"},
        {BYTES("\x80\2}(" TEXT_1("d") "K\1K\0"
                                      "0" TEXT_1("a") "(K\2K\3"
                                                      "1" GOOD "u."),
         "a ", "POP"},
        {BYTES("\x80\2}(" TEXT_1("m") "ctorch.distributed.checkpoint.metadata\nMetadata\n)\x81}b" TEXT_1("a")
                   GOOD "u."),
         "a ", "metadata.Metadata is not allowed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct state_dict *dict = NULL;
        struct err err = ERR_INIT;
        char names[200] = "";
        if (state_dict_parse(cases[i].data, cases[i].size, STATE_DICT_FORM_TRAINER, &dict, &err))
            fail_msg("case %zu: %s", i, err.message);
        for (size_t j = 0; j < dict->count; j++)
            (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", dict->tensors[j].name);
        assert_string_equal(names, cases[i].names);
        state_dict_free(dict);
        dict = NULL;
        int code = state_dict_parse(cases[i].data, cases[i].size, STATE_DICT_FORM_PLAIN, &dict, &err);
        if (!code || dict || !strstr(err.message, cases[i].plain))
            fail_msg("case %zu, plain: %s", i, err.message);
    }
}

static void test_hostile_pickles_of_trainers(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        const char *says;
    } cases[] = {
        {BYTES("\x80\6}."), "pickle protocol 6"},
        {BYTES("\x80\4K\1K\2\x93."), "a name is no text"},
        {BYTES("\x80\4\x94."), "the stack is empty"},
        {BYTES("\x80\4(K\1\x90."), "the stack is empty"},
        {BYTES("\x80\4](K\1\x90."), "into something else than a set"},
        {BYTES("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "truncated"},
        {BYTES("\x80\4\x8c\5ab"), "truncated"},
        {BYTES("\x80\4\x81."), "the stack is empty"},
        {BYTES("\x80\4\x8c\1x\x8c\1y\x93)\x81."), "something else than a state dict"},
        {BYTES("\x80\2K\1)R."), "that is not a function"},
        {BYTES("\x80\2ctorch.distributed.checkpoint.metadata\nMetadata\n)\x81}b}b."), "attributes are set"},
        {BYTES("\x80\2}" TEXT_1("a") "ctorch._utils\n_rebuild_tensor_v2\n)Rs."), "described by 0"},
        {BYTES("\x80\2U\1x."), "SHORT_BINSTRING"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct state_dict *dict = NULL;
        struct err err = ERR_INIT;
        int code = state_dict_parse(cases[i].data, cases[i].size, STATE_DICT_FORM_TRAINER, &dict, &err);
        if (!code || dict || !strstr(err.message, cases[i].says))
            fail_msg("case %zu: %s", i, err.message);
    }
}

/* How many ranks there are, where a trainer says so in words that are known; else that means nothing. */
static void test_what_is_told_of_ranks(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        struct state_dict_told told;
    } cases[] = {
        {BYTES("\x80\2}(" RANKS "K\2" TEXT_1("a") GOOD "u."), {.rank_count = 2}},
        {BYTES("\x80\2}(" RANKS "K\0u."), {0}},
        {BYTES("\x80\2}(" RANKS "\x88u."), {0}},
        {BYTES("\x80\2}(" RANKS "J\xff\xff\xff\xffu."), {0}},
        {BYTES("\x80\2}(" ARGS "}(" TENSOR_RANKS "K\4uu."), {.tensor_ranks = 4}},
        {BYTES("\x80\2}(" ARGS "cargparse\nNamespace\n)\x81}(" TENSOR_RANKS "K\4" PIPELINE_RANKS "K\3" ROWS
               "M\x60\1ubu."),
         {.tensor_ranks = 4, .pipeline_ranks = 3, .padded_rows = 352}},
        {BYTES("\x80\2}(" ARGS "cargparse\nNamespace\n)\x81u."), {0}},
        {BYTES("\x80\2}(" ARGS "cargparse\nNamespace\n)\x81](K\1ebu."), {0}},
        {BYTES("\x80\2}(" ARGS "K\1u."), {0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct state_dict *dict = NULL;
        struct err err = ERR_INIT;
        if (state_dict_parse(cases[i].data, cases[i].size, STATE_DICT_FORM_TRAINER, &dict, &err))
            fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(dict->told.rank_count, cases[i].told.rank_count);
        assert_int_equal(dict->told.tensor_ranks, cases[i].told.tensor_ranks);
        assert_int_equal(dict->told.pipeline_ranks, cases[i].told.pipeline_ranks);
        assert_int_equal(dict->told.padded_rows, cases[i].told.padded_rows);
        state_dict_free(dict);
    }
}

/* A part of a distributed checkpoint: a tensor alone, and nothing else. */
static void test_a_tensor_alone(void **state)
{
    struct state_dict *dict = NULL;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(state_dict_parse(BYTES("\x80\2" GOOD "."), STATE_DICT_FORM_TENSOR, &dict, &err), 0);
    assert_int_equal(dict->count, 1);
    assert_string_equal(dict->tensors[0].name, STATE_DICT_ROOT);
    assert_int_equal(dict->tensors[0].shape.dim[0], 4);
    state_dict_free(dict);
    dict = NULL;
    assert_int_equal(state_dict_parse(BYTES(STATE_DICT(GOOD)), STATE_DICT_FORM_TENSOR, &dict, &err),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "something else than a tensor"));
    assert_int_equal(state_dict_parse(BYTES("\x80\2" GOOD "."), STATE_DICT_FORM_PLAIN, &dict, &err),
                     ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_trainers_keep),
        cmocka_unit_test(test_hostile_pickles_of_trainers),
        cmocka_unit_test(test_what_is_told_of_ranks),
        cmocka_unit_test(test_a_tensor_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
