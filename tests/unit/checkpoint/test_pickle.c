#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/checkpoint/state_dict.h"
#include "tests/unit/checkpoint/bytes.h"
#include "tests/unit/checkpoint/pickles.h"

#include <stdio.h>

static void test_plain_state_dict(void **state)
{
    (void)state;
    struct buf pickle;
    struct state_dict *dict = NULL;
    struct err err = ERR_INIT;
    buf_init(&pickle, MIB);
    pickle_begin(&pickle);
    pickle_tensor(&pickle, &(struct bytes_tensor){"w", "HalfStorage", "7", 6, 0, 2, {2, 3}, {3, 1}});
    pickle_tensor(&pickle, &(struct bytes_tensor){"t", "HalfStorage", "7", 6, 1, 2, {2, 2}, {1, 3}});
    pickle_tensor(&pickle, &(struct bytes_tensor){"s", "LongStorage", "8", 1, 0, 0, {0}, {0}});
    pickle_tensor(&pickle, &(struct bytes_tensor){"e", "FloatStorage", "9", 0, 5, 2, {0, 3}, {3, 1}});
    pickle_end(&pickle);
    if (state_dict_parse(pickle.data, pickle.size, STATE_DICT_FORM_PLAIN, &dict, &err))
        fail_msg("%s", err.message);
    assert_int_equal(dict->count, 4);
    assert_string_equal(dict->tensors[0].name, "e");
    assert_int_equal(dict->tensors[0].offset, 0);
    assert_string_equal(dict->tensors[1].name, "s");
    assert_int_equal(dict->tensors[1].dtype, TENSOR_DTYPE_I64);
    assert_int_equal(dict->tensors[1].storage_bytes, 8);
    assert_string_equal(dict->tensors[2].name, "t");
    assert_int_equal(dict->tensors[2].stride[1], 3);
    assert_int_equal(dict->tensors[2].offset, 1);
    assert_string_equal(dict->tensors[3].storage_key, "7");
    assert_int_equal(dict->tensors[3].storage_bytes, 12);
    state_dict_free(dict);
    buf_free(&pickle);
}

/* One tensor under two names is told as such; another view of the same numbers is another tensor. */
static void test_views(void **state)
{
    (void)state;
    static const struct bytes_tensor tensors[] = {
        {"a", "HalfStorage", "7", 8, 0, 2, {2, 3}, {3, 1}},
        {"b", "HalfStorage", "7", 8, 1, 2, {2, 3}, {3, 1}},
        {"c", "HalfStorage", "7", 8, 0, 2, {3, 2}, {2, 1}},
        {"d", "HalfStorage", "7", 8, 0, 2, {2, 3}, {4, 1}},
        {"e", "HalfStorage", "7", 8, 0, 2, {2, 3}, {3, 1}},
        {"f", "HalfStorage", "7", 8, 0, 1, {2}, {3}},
        {"g", "HalfStorage", "8", 8, 0, 2, {2, 3}, {3, 1}},
        {"h", "HalfStorage", "7", 8, 0, 2, {2, 3}, {3, 1}},
        {"i", "HalfStorage", "7", 8, 0, 2, {2, 2}, {3, 1}},
    };
    enum { COUNT = sizeof tensors / sizeof tensors[0] };
    struct buf pickle;
    struct state_dict *dict = NULL;
    struct err err = ERR_INIT;
    buf_init(&pickle, MIB);
    pickle_begin(&pickle);
    for (size_t i = COUNT; i-- > 0;)
        pickle_tensor(&pickle, &tensors[i]);
    pickle_end(&pickle);
    if (state_dict_parse(pickle.data, pickle.size, STATE_DICT_FORM_PLAIN, &dict, &err))
        fail_msg("%s", err.message);
    assert_int_equal(dict->count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(dict->tensors[i].first, i == 4 || i == 7 ? 0 : i); /* e and h are a */
    state_dict_free(dict);
    buf_free(&pickle);
}

/* Good pickles of every shape that torch writes: names of the tensors that come out, in order. */
static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        const char *names;
    } cases[] = {
        {BYTES(STATE_DICT(GOOD)), "a "},
        {BYTES("\x80\2}."), ""},
        /* an OrderedDict with _metadata, as Module.state_dict() gives */
        {BYTES("\x80\2"
               "ccollections\nOrderedDict\nq\0)Rq\1(" TEXT_1("a") GOOD "u}X\x09\0\0\0_metadatah\0)Rsb."),
         "a "},
        /* nn.Parameter, torch.Size, a tensor of the third form */
        {BYTES(STATE_DICT("ctorch._utils\n_rebuild_parameter\n(" GOOD HOOKS "tR")), "a "},
        {BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0",
                                              "\4") "K\0ctorch\nSize\nK\4\x85\x85RK\1\x85" HOOKS "tR")),
         "a "},
        {BYTES(STATE_DICT(REBUILD_3 "((X\7\0\0\0storagectorch.storage\nUntypedStorage\n" TEXT_1(
             "0") "X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85" HOOKS "ctorch\nfloat8_e4m3fn\ntR")),
         "a "},
        /* a tensor with attributes of its own, a buffer */
        {BYTES(STATE_DICT(FROM_TYPE("ctorch\nTensor\n"))), "a "},
        {BYTES(STATE_DICT(FROM_TYPE("ctorch.nn.parameter\nBuffer\n"))), "a "},
        /* nested, with numbers as keys, a list, and values that are no tensors */
        {BYTES("\x80\2}(" TEXT_1("m") "}" TEXT_1("a") GOOD "s" TEXT_1("o") "}K\3}" TEXT_1("x") GOOD
               "sss" TEXT_1("l") "](" GOOD "NK\1" GOOD
                                 "e" TEXT_1("n") "G\x3f\xf0\0\0\0\0\0\0" TEXT_1("i") "M\1\1u."),
         "l.0 l.3 m.a m.o.3.x "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct state_dict *dict = NULL;
        struct err err = ERR_INIT;
        char names[200] = "";
        if (state_dict_parse(cases[i].data, cases[i].size, STATE_DICT_FORM_PLAIN, &dict, &err))
            fail_msg("case %zu: %s", i, err.message);
        for (size_t j = 0; j < dict->count; j++)
            (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", dict->tensors[j].name);
        assert_string_equal(names, cases[i].names);
        state_dict_free(dict);
    }
}

/* What is not read here keeps nothing else from being read: values that are no tensors are passed over, and
 * of tensors it is told what they are. */
static void test_foreign(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        size_t size;
        const char *foreign; /* NULL: no tensor */
    } cases[] = {
        {BYTES("c__builtin__\nset\nq\0](K\1K\2e\x85q\1Rq\2"), NULL},
        {BYTES("c_codecs\nencode\nX\1\0\0\0xX\6\0\0\0latin1\x86R"), NULL},
        {BYTES("ctorch\ndevice\nX\4\0\0\0cudaK\0\x86R"), NULL},
        {BYTES("ccollections\nCounter\n}" TEXT_1("x") "K\1s\x85R"), NULL},
        {BYTES("c__builtin__\nset\n"), NULL},  /* the class */
        {BYTES("}K\1K\2\x86" GOOD "s"), NULL}, /* under a tuple */
        {BYTES("}N}" TEXT_1("x") GOOD "ss"), NULL},
        {BYTES(REBUILD "(" STORAGE("ComplexDoubleStorage", "9", "\4") "K\0K\4\x85K\1\x85" HOOKS "tR"),
         "complex128"},
        {BYTES(REBUILD_3 "((X\7\0\0\0storagectorch.storage\nUntypedStorage\n" TEXT_1(
             "9") "X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85" HOOKS "ctorch\nfloat4_e2m1fn_x2\ntR"),
         "float4_e2m1fn_x2"},
        {BYTES("ctorch._utils\n_rebuild_qtensor\n(" STORAGE(
             "QInt8Storage", "9",
             "\4") "K\0K\4\x85K\1\x85(ctorch\nper_tensor_affine\nG\x3f\xf0\0\0\0\0\0\0K\0t" HOOKS "tR"),
         "quantized"},
        {BYTES("ctorch._utils\n_rebuild_sparse_tensor\n(ctorch.serialization\n_get_layout\nX\x10\0\0\0"
               "torch.sparse_coo\x85R(" GOOD GOOD "K\4\x85ttR"),
         "sparse"},
        {BYTES(REBUILD "(" STORAGE("ComplexFloatStorage", "9", "\4") "K\0K\4\x85K\1\x85" HOOKS
                                                                     "}" TEXT_1("c") "\x88stR"),
         "a conjugated or negated view"},
        {BYTES("ctorch._utils\n_rebuild_parameter\n(" REBUILD
               "(" STORAGE("ComplexDoubleStorage", "9", "\4") "K\0K\4\x85K\1\x85" HOOKS "tR" HOOKS "tR"),
         "complex128"},
        {BYTES(
             "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_sparse_tensor\nctorch\nTensor\n"
             ")}tR"),
         "sparse"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf pickle;
        struct state_dict *dict = NULL;
        struct err err = ERR_INIT;
        size_t count = cases[i].foreign ? 3 : 1;
        buf_init(&pickle, MIB);
        (void)buf_append(&pickle, BYTES("\x80\2}(" TEXT_1("f")));
        (void)buf_append(&pickle, cases[i].value, cases[i].size);
        (void)buf_append(&pickle, BYTES(TEXT_1("g")));
        (void)buf_append(&pickle, cases[i].value, cases[i].size);
        (void)buf_append(&pickle, BYTES(TEXT_1("w") GOOD "u."));
        if (state_dict_parse(pickle.data, pickle.size, STATE_DICT_FORM_PLAIN, &dict, &err))
            fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(dict->count, count);
        for (size_t j = 0; j + 1 < count; j++) {
            assert_string_equal(dict->tensors[j].foreign, cases[i].foreign);
            assert_int_equal(dict->tensors[j].first, j); /* what is not read is the same as nothing else */
        }
        assert_string_equal(dict->tensors[count - 1].name, "w");
        assert_null(dict->tensors[count - 1].foreign);
        state_dict_free(dict);
        buf_free(&pickle);
    }
}

static const struct hostile {
    const char *name;
    const char *data;
    size_t size;
    int code;
    const char *says;
} hostiles[] = {
    {"os.system", BYTES("\x80\2cos\nsystem\nX\2\0\0\0id\x85R."), ERR_UNSUPPORTED, "os.system is not allowed"},
    {"posix.system", BYTES("\x80\2cposix\nsystem\n."), ERR_UNSUPPORTED, "posix.system"},
    {"builtins.eval",
     BYTES("\x80\2cbuiltins\neval\nX\1\0\0\0"
           "1\x85R."),
     ERR_UNSUPPORTED, "builtins.eval"},
    {"__builtin__.exec", BYTES("\x80\2c__builtin__\nexec\n."), ERR_UNSUPPORTED, "__builtin__.exec"},
    {"subprocess.Popen", BYTES("\x80\2csubprocess\nPopen\n."), ERR_UNSUPPORTED, "subprocess.Popen"},
    {"runpy", BYTES("\x80\2crunpy\n_run_code\n."), ERR_UNSUPPORTED, "runpy._run_code"},
    {"getattr", BYTES("\x80\2cbuiltins\ngetattr\n."), ERR_UNSUPPORTED, "builtins.getattr"},
    {"torch.load", BYTES("\x80\2ctorch\nload\n."), ERR_UNSUPPORTED, "torch.load"},
    {"torch.hub.load", BYTES("\x80\2ctorch.hub\nload\n."), ERR_UNSUPPORTED, "torch.hub.load"},
    {"nested name", BYTES("\x80\2ctorch\nserialization.os.system\n."), ERR_UNSUPPORTED,
     "torch.serialization.os.system"},
    {"argparse", BYTES("\x80\2cargparse\nNamespace\n)\x81."), ERR_UNSUPPORTED, "argparse.Namespace"},
    {"tensor of another class", BYTES(STATE_DICT(FROM_TYPE("ctorch.distributed.tensor\nDTensor\n"))),
     ERR_UNSUPPORTED, "torch.distributed.tensor.DTensor is not allowed"},
    {"tensor of a storage's class", BYTES(STATE_DICT(FROM_TYPE("ctorch\nHalfStorage\n"))), ERR_UNSUPPORTED,
     "not made from a plain one"},
    {"tensor of a class by itself again",
     BYTES(STATE_DICT("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\n"
                      "ctorch\nTensor\n)NtR")),
     ERR_UNSUPPORTED, "not made from a plain one"},
    {"tensor of a class from no tuple",
     BYTES(STATE_DICT("ctorch._tensor\n_rebuild_from_type_v2\n(" REBUILD "ctorch\nTensor\nNNtR")), ERR_FORMAT,
     "something else than a tuple"},
    {"tensor of a class from two values",
     BYTES(STATE_DICT("ctorch._tensor\n_rebuild_from_type_v2\n(" REBUILD "ctorch\nTensor\ntR")),
     ERR_UNSUPPORTED, "not made from a plain one"},
    {"a class that is called", BYTES(STATE_DICT("ctorch\nTensor\n)R")), ERR_UNSUPPORTED,
     "torch.Tensor is called, which is not allowed"},
    {"tensor of numpy's", BYTES("\x80\2ctorch._utils\n_rebuild_device_tensor_from_numpy\n."), ERR_UNSUPPORTED,
     "_rebuild_device_tensor_from_numpy"},
    {"set by its class's constructor", BYTES("\x80\2c__builtin__\nset\n)\x81."), ERR_UNSUPPORTED, "NEWOBJ"},
    {"call with a set", BYTES(STATE_DICT("c__builtin__\nset\n](K\1K\2e\x85R)R")), ERR_FORMAT,
     "not a function"},
    {"set of a call", BYTES("\x80\2c__builtin__\nset\ncos\nsystem\nX\2\0\0\0id\x85R\x85R."), ERR_UNSUPPORTED,
     "os.system"},
    {"set from no tuple", BYTES("\x80\2c__builtin__\nset\n]R."), ERR_FORMAT, "than a tuple"},
    {"attributes of a set", BYTES(STATE_DICT("c__builtin__\nset\n)R}b")), ERR_UNSUPPORTED, "attributes"},
    {"attributes of a sparse tensor", BYTES(STATE_DICT("ctorch._utils\n_rebuild_sparse_tensor\n)R}b")),
     ERR_UNSUPPORTED, "attributes"},
    {"SETITEM on a set", BYTES(STATE_DICT("c__builtin__\nset\n)RK\0K\0s")), ERR_FORMAT, "than a dict"},
    {"numpy", BYTES("\x80\2cnumpy.core.multiarray\n_reconstruct\n."), ERR_UNSUPPORTED,
     "numpy.core.multiarray._reconstruct"},
    {"name across lines", BYTES("\x80\2cos\rx\nsystem\n."), ERR_UNSUPPORTED, "not allowed"},
    {"STACK_GLOBAL", BYTES("\x80\2X\2\0\0\0osX\6\0\0\0system\x93)R."), ERR_UNSUPPORTED, "STACK_GLOBAL"},
    {"INST", BYTES("\x80\2(ios\nsystem\n."), ERR_UNSUPPORTED, "INST"},
    {"OBJ", BYTES("\x80\2(cos\nsystem\no."), ERR_UNSUPPORTED, "os.system"},
    {"OBJ of an allowed name", BYTES("\x80\2(ctorch\nSize\no."), ERR_UNSUPPORTED, "OBJ"},
    {"NEWOBJ", BYTES("\x80\2ctorch\nSize\n)\x81."), ERR_UNSUPPORTED, "NEWOBJ"},
    {"EXT1", BYTES("\x80\2\x82\1."), ERR_UNSUPPORTED, "EXT1"},
    {"PERSID", BYTES("\x80\2Pstorage\n."), ERR_UNSUPPORTED, "PERSID"},
    {"protocol 4", BYTES("\x80\4\x95\0\0\0\0\0\0\0\0}."), ERR_UNSUPPORTED, "protocol 4"},
    {"protocol 0", BYTES("(dp0\n."), ERR_UNSUPPORTED, "DICT"},
    {"no opcode", BYTES("\x80\2\xff."), ERR_FORMAT, "0xff"},
    {"nested reduce", BYTES("\x80\2ccollections\nOrderedDict\ncos\nsystem\nX\2\0\0\0id\x85R\x85R."),
     ERR_UNSUPPORTED, "os.system"},
    {"call of a call", BYTES("\x80\2ccollections\nOrderedDict\n)R)R."), ERR_FORMAT, "not a function"},
    {"call of a tensor", BYTES(STATE_DICT(GOOD ")R")), ERR_FORMAT, "not a function"},
    {"call of a dtype", BYTES("\x80\2ctorch\nfloat16\n)R."), ERR_UNSUPPORTED, "torch.float16 is called"},
    {"call of a storage class", BYTES("\x80\2ctorch\nHalfStorage\n)R."), ERR_UNSUPPORTED, "is called"},
    {"arguments no tuple", BYTES("\x80\2ccollections\nOrderedDict\n]R."), ERR_FORMAT, "than a tuple"},
    {"OrderedDict of values", BYTES("\x80\2ccollections\nOrderedDict\n]\x85R."), ERR_UNSUPPORTED,
     "OrderedDict"},
    {"attributes of a tensor", BYTES(STATE_DICT(GOOD "}b")), ERR_UNSUPPORTED, "attributes"},
    {"SETITEM on a tensor", BYTES(STATE_DICT(GOOD "K\0K\0s")), ERR_FORMAT, "than a dict"},
    {"SETITEMS on a list", BYTES("\x80\2](K\0K\1u."), ERR_FORMAT, "than a dict"},
    {"APPEND to a dict", BYTES("\x80\2}K\1a."), ERR_FORMAT, "than a list"},
    {"APPENDS to a tuple", BYTES("\x80\2)(K\1e."), ERR_FORMAT, "than a list"},
    {"key without value", BYTES("\x80\2}(K\1u."), ERR_FORMAT, "key without a value"},
    {"empty file", BYTES(""), ERR_FORMAT, "truncated"},
    {"no STOP", BYTES("\x80\2}"), ERR_FORMAT, "truncated"},
    {"cut text",
     BYTES("\x80\2X\xff\xff\xff\xff"
           "abc"),
     ERR_FORMAT, "truncated"},
    {"cut name", BYTES("\x80\2ctorch"), ERR_FORMAT, "truncated inside of a name"},
    {"cut integer", BYTES("\x80\2J\1"), ERR_FORMAT, "truncated"},
    {"STOP at once", BYTES("."), ERR_FORMAT, "0 values"},
    {"two values", BYTES("\x80\2}}."), ERR_FORMAT, "2 values"},
    {"open mark", BYTES("\x80\2}(."), ERR_FORMAT, "values are left"},
    {"empty stack", BYTES("\x80\2R."), ERR_FORMAT, "stack is empty"},
    {"pop through a mark", BYTES("\x80\2K\1(\x85."), ERR_FORMAT, "stack is empty"},
    {"no mark", BYTES("\x80\2K\1t."), ERR_FORMAT, "no mark"},
    {"memo never set", BYTES("\x80\2h\5."), ERR_FORMAT, "never set"},
    {"memo of nothing", BYTES("\x80\2q\0."), ERR_FORMAT, "stack is empty"},
    {"memo too far", BYTES("\x80\2Nr\xff\xff\xff\xff."), ERR_LIMIT, "memo entry 4294967295"},
    {"memo of millions in nine bytes", BYTES("\x80\2}r\xff\x08\x3d\0."), ERR_LIMIT,
     "memo entry 3999999 exceeds the limit of 9 for 9 bytes"},
    {"large integer", BYTES("\x80\2\x8a\x09\1\2\3\4\5\6\7\x08\x09."), ERR_LIMIT, "integer of 9 bytes"},
    {"no dict", BYTES("\x80\2K\1."), ERR_UNSUPPORTED, "else than a state dict"},
    {"a bare tensor", BYTES("\x80\2" GOOD "."), ERR_UNSUPPORTED, "else than a state dict"},
    {"persistent id no tuple", BYTES("\x80\2K\1Q."), ERR_FORMAT, "not a tuple of five"},
    {"persistent id of four", BYTES("\x80\2(NNNNtQ."), ERR_FORMAT, "not a tuple of five"},
    {"persistent id no storage",
     BYTES("\x80\2(X\7\0\0\0modulesctorch\nHalfStorage\nX\1\0\0\0"
           "0NK\1tQ."),
     ERR_UNSUPPORTED, "else than a storage"},
    {"storage class none",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("float16", "0", "\4") "K\0K\4\x85K\1\x85" HOOKS "tR")), ERR_FORMAT,
     "class is not one"},
    {"storage key a path",
     BYTES("\x80\2(X\7\0\0\0storagectorch\nHalfStorage\nX\x09\0\0\0../../etcX\3\0\0\0cpuK\1tQ."), ERR_FORMAT,
     "key is not a number"},
    {"storage of -1",
     BYTES("\x80\2(X\7\0\0\0storagectorch\nHalfStorage\nX\1\0\0\0"
           "0X\3\0\0\0cpuJ\xff\xff\xff\xfftQ."),
     ERR_FORMAT, "number of elements is not a number"},
    {"tensor past its storage",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0K\5\x85K\1\x85" HOOKS "tR")),
     ERR_FORMAT, "number 4 of a storage of 4"},
    {"offset past its storage",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\1K\4\x85K\1\x85" HOOKS "tR")),
     ERR_FORMAT, "number 4 of a storage of 4"},
    {"stride past its storage",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0K\4\x85K\2\x85" HOOKS "tR")),
     ERR_FORMAT, "number 6 of a storage of 4"},
    {"negative long offset",
     BYTES(
         STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "\x8a\2\xfe\xffK\4\x85K\1\x85" HOOKS "tR")),
     ERR_FORMAT, "offset is not a number"},
    {"negative offset",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "J\xff\xff\xff\xffK\4\x85K\1\x85" HOOKS
                                                                    "tR")),
     ERR_FORMAT, "offset is not a number"},
    {"negative stride",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\3K\4\x85J\xff\xff\xff\xff\x85" HOOKS
                                                                    "tR")),
     ERR_FORMAT, "stride holds"},
    {"negative size",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0J\xff\xff\xff\xff\x85K\1\x85" HOOKS
                                                                    "tR")),
     ERR_FORMAT, "size holds"},
    {"two sizes, one stride",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0K\2K\2\x86K\1\x85" HOOKS "tR")),
     ERR_FORMAT, "2 sizes but 1 strides"},
    {"overflowing shape",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0\x8a\x08\0\0\0\0\0\0\0\x7f"
                                                                    "K\4\x86K\0K\0\x86" HOOKS "tR")),
     ERR_LIMIT, "overflows"},
    {"overflowing strides",
     BYTES(STATE_DICT(REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0K\3K\3\x86\x8a\x08\0\0\0\0\0\0\0\x7f"
                                                                    "\x8a\x08\0\0\0\0\0\0\0\x7f\x86" HOOKS
                                                                    "tR")),
     ERR_FORMAT, "strides of a tensor overflow"},
    {"nine dimensions",
     BYTES(STATE_DICT(
         REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1tK\1\x85" HOOKS "tR")),
     ERR_LIMIT, "9 dimensions"},
    {"no storage", BYTES(STATE_DICT(REBUILD "(NK\0K\4\x85K\1\x85" HOOKS "tR")), ERR_FORMAT, "has no storage"},
    {"too few values", BYTES(STATE_DICT(REBUILD ")R")), ERR_FORMAT, "described by 0"},
    {"untyped storage without dtype",
     BYTES(STATE_DICT(REBUILD "((X\7\0\0\0storagectorch.storage\nUntypedStorage\nX\1\0\0\0"
                              "0X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85" HOOKS "tR")),
     ERR_FORMAT, "no dtype"},
    {"dtype differs",
     BYTES(STATE_DICT(REBUILD_3 "(" STORAGE("HalfStorage", "0", "\4") "K\0K\4\x85K\1\x85" HOOKS
                                                                      "ctorch\nfloat32\ntR")),
     ERR_FORMAT, "differs from its storage"},
    {"parameter of a number", BYTES(STATE_DICT("ctorch._utils\n_rebuild_parameter\nK\1NN\x87R")), ERR_FORMAT,
     "not made from a tensor"},
    {"name twice", BYTES("\x80\2}(" TEXT_1("a") GOOD TEXT_1("a") GOOD "u."), ERR_FORMAT,
     "two tensors are named a"},
    {"name twice by nesting", BYTES("\x80\2}(X\3\0\0\0a.b" GOOD TEXT_1("a") "}" TEXT_1("b") GOOD "su."),
     ERR_FORMAT, "two tensors are named a.b"},
    {"empty name", BYTES("\x80\2}X\0\0\0\0" GOOD "s."), ERR_FORMAT, "empty name"},
    {"name not UTF-8", BYTES("\x80\2}" TEXT_1("\xff") GOOD "s."), ERR_FORMAT, "not UTF-8"},
    {"name with a line break", BYTES("\x80\2}" TEXT_1("\n") GOOD "s."), ERR_FORMAT, "control character"},
    {"dict inside of itself", BYTES("\x80\2}q\0" TEXT_1("a") "h\0s."), ERR_LIMIT, "nested deeper"},
};

static void test_hostile_pickles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostiles / sizeof hostiles[0]; i++) {
        struct state_dict *dict = NULL;
        struct err err = ERR_INIT;
        int code = state_dict_parse(hostiles[i].data, hostiles[i].size, STATE_DICT_FORM_PLAIN, &dict, &err);
        if (code != hostiles[i].code || !strstr(err.message, hostiles[i].says) || dict)
            fail_msg("%s: code %d, \"%s\"", hostiles[i].name, code, err.message);
    }
}

/* Small pickles that would become large: each hits a bound instead. */
static void test_bombs(void **state)
{
    (void)state;
    struct buf pickle;
    struct state_dict *dict = NULL;
    struct err err = ERR_INIT;
    buf_init(&pickle, 64 * MIB);

    for (int i = 0; i <= LIMIT_PICKLE_STACK; i++)
        (void)buf_append_char(&pickle, 'N');
    assert_int_equal(state_dict_parse(pickle.data, pickle.size, STATE_DICT_FORM_PLAIN, &dict, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.message, "the stack exceeds"));

    buf_clear(&pickle);
    for (int i = 0; i <= LIMIT_PICKLE_STACK; i++)
        (void)buf_append_char(&pickle, '(');
    assert_int_equal(state_dict_parse(pickle.data, pickle.size, STATE_DICT_FORM_PLAIN, &dict, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.message, "marks"));

    /* ten lists, each of ten references to the one before: 10^10 visits if they were followed */
    buf_clear(&pickle);
    (void)buf_append(&pickle, BYTES("\x80\2]q\0"));
    for (int level = 1; level <= 10; level++) {
        (void)buf_append(&pickle, BYTES("]("));
        for (int i = 0; i < 10; i++) {
            (void)buf_append_char(&pickle, 'h');
            (void)buf_append_char(&pickle, (char)(level - 1));
        }
        (void)buf_append(&pickle, BYTES("eq"));
        (void)buf_append_char(&pickle, (char)level);
    }
    /* drop the ten below by putting all into one tuple under a key */
    (void)buf_append(&pickle, BYTES("\x85\x86\x86\x86\x86\x86\x86\x86\x86\x86\x86q\x20"));
    struct buf whole;
    buf_init(&whole, MIB);
    (void)buf_append(&whole, BYTES("\x80\2}" TEXT_1("a")));
    (void)buf_append(&whole, pickle.data + 2, pickle.size - 2);
    (void)buf_append(&whole, BYTES("s."));
    assert_int_equal(state_dict_parse(whole.data, whole.size, STATE_DICT_FORM_PLAIN, &dict, &err), ERR_LIMIT);
    buf_free(&whole);

    /* empty tuples without end, each dropped into one list */
    buf_clear(&pickle);
    (void)buf_append(&pickle, BYTES("\x80\2]"));
    for (int i = 0; i <= LIMIT_PICKLE_OBJECTS; i++)
        (void)buf_append(&pickle, BYTES(")a"));
    assert_int_equal(state_dict_parse(pickle.data, pickle.size, STATE_DICT_FORM_PLAIN, &dict, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.message, "objects"));

    /* and one list that grows without end */
    buf_clear(&pickle);
    (void)buf_append(&pickle, BYTES("\x80\2]"));
    for (int i = 0; i <= LIMIT_PICKLE_ITEMS; i++)
        (void)buf_append(&pickle, BYTES("Na"));
    assert_int_equal(state_dict_parse(pickle.data, pickle.size, STATE_DICT_FORM_PLAIN, &dict, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.message, "items"));
    buf_free(&pickle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_state_dict), cmocka_unit_test(test_views),
        cmocka_unit_test(test_accepted),         cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_hostile_pickles),  cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
