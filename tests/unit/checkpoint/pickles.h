/*
 * Pickles of state dicts as literals, whose parts a test may spoil.
 */
#ifndef BIFURCATED_TESTS_UNIT_CHECKPOINT_PICKLES_H
#define BIFURCATED_TESTS_UNIT_CHECKPOINT_PICKLES_H

/* Text with its length, so that it may hold zeros. */
#define BYTES(text) (text), sizeof(text) - 1

#define TEXT_1(c) "X\1\0\0\0" c
#define STORAGE(class, key, count)                                                                           \
    "(X\7\0\0\0storagectorch\n" class "\n" TEXT_1(key) "X\3\0\0\0cpuK" count "tQ"
#define HOOKS                                                                                                \
    "\x89"                                                                                                   \
    "ccollections\nOrderedDict\n)R"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define REBUILD_3 "ctorch._utils\n_rebuild_tensor_v3\n"
/* a tensor of a class, with an attribute "a" */
#define FROM_TYPE(class)                                                                                     \
    "ctorch._tensor\n_rebuild_from_type_v2\n(" REBUILD class "(" STORAGE(                                    \
        "HalfStorage", "0", "\4") "K\0K\4\x85K\1\x85" HOOKS "t}" TEXT_1("a") "K\1stR"
/* {"a": a tensor of four halves} with the parts that a test may spoil */
#define STATE_DICT(tensor) "\x80\2}" TEXT_1("a") tensor "s."
#define GOOD REBUILD "(" STORAGE("HalfStorage", "0", "\4") "K\0K\4\x85K\1\x85" HOOKS "tR"

#endif
