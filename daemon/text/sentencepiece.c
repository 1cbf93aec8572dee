#include "daemon/text/sentencepiece.h"

#include "daemon/base/limits.h"
#include "daemon/base/protobuf.h"
#include "daemon/text/json_field.h"
#include "daemon/text/unicode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fields of the file. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_KIND = 3,
    TRAINER_SUFFIX = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNKNOWN_NAME = 45,
    TRAINER_BOS_NAME = 46,
};
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_DUMMY = 3, NORMALIZER_REMOVES = 4, NORMALIZER_MARKS = 5 };

enum { KIND_UNIGRAM = 1, KIND_BPE = 2, KIND_WORD = 3, KIND_CHAR = 4 };

struct reading {
    struct sentencepiece *model;
    uint64_t kind;
    const unsigned char *charsmap;
    size_t charsmap_size;
};

/* -- Fields ---------------------------------------------------------------------------------------------- */

static int expect(const struct protobuf_field *field, enum protobuf_wire wire, struct err *err)
{
    return field->wire == wire ? 0
                               : err_set(err, ERR_FORMAT, "field %u is of another kind than SentencePiece's",
                                         (unsigned)field->number);
}

typedef int read_field(struct reading *reading, const struct protobuf_field *field, struct err *err);

static int read_message(struct reading *reading, const unsigned char *data, size_t size, read_field *read,
                        struct err *err)
{
    struct protobuf_reader reader = {.data = data, .size = size};
    struct protobuf_field field;
    int found;
    while ((found = protobuf_next(&reader, &field, err)) > 0)
        if (read(reading, &field, err))
            return err->code;
    return found ? err->code : 0;
}

static int read_nested(struct reading *reading, const struct protobuf_field *field, read_field *read,
                       struct err *err)
{
    return expect(field, PROTOBUF_BYTES, err) ? err->code
                                              : read_message(reading, field->data, field->size, read, err);
}

static int read_flag(const struct protobuf_field *field, int *ret_flag, struct err *err)
{
    if (expect(field, PROTOBUF_VARINT, err))
        return err->code;
    *ret_flag = field->value != 0;
    return 0;
}

static int read_trainer(struct reading *reading, const struct protobuf_field *field, struct err *err)
{
    struct sentencepiece *model = reading->model;
    switch (field->number) {
    case TRAINER_KIND:
        reading->kind = field->value;
        return expect(field, PROTOBUF_VARINT, err);
    case TRAINER_SUFFIX:
        return read_flag(field, &model->has_space_as_suffix, err);
    case TRAINER_BYTE_FALLBACK:
        return read_flag(field, &model->has_byte_fallback, err);
    case TRAINER_UNKNOWN_NAME:
        model->unknown_name = (const char *)field->data;
        model->unknown_name_size = field->size;
        return expect(field, PROTOBUF_BYTES, err);
    case TRAINER_BOS_NAME:
        model->bos_name = (const char *)field->data;
        model->bos_name_size = field->size;
        return expect(field, PROTOBUF_BYTES, err);
    default:
        return 0;
    }
}

static int read_normalizer(struct reading *reading, const struct protobuf_field *field, struct err *err)
{
    struct sentencepiece *model = reading->model;
    switch (field->number) {
    case NORMALIZER_CHARSMAP:
        reading->charsmap = field->data;
        reading->charsmap_size = field->size;
        return expect(field, PROTOBUF_BYTES, err);
    case NORMALIZER_DUMMY:
        return read_flag(field, &model->has_dummy_space, err);
    case NORMALIZER_REMOVES:
        return read_flag(field, &model->removes_extra_spaces, err);
    case NORMALIZER_MARKS:
        return read_flag(field, &model->marks_spaces, err);
    default:
        return 0;
    }
}

/* -- Pieces ---------------------------------------------------------------------------------------------- */

/* The place of one more, which counts once it is read. */
static struct sentencepiece_piece *next_place(struct sentencepiece *model, struct err *err)
{
    if (model->count == LIMIT_VOCABULARY) {
        (void)err_set(err, ERR_LIMIT, "more than %d pieces", LIMIT_VOCABULARY);
        return NULL;
    }
    if (model->count == model->capacity) {
        size_t capacity = model->capacity ? model->capacity * 2 : 1024;
        struct sentencepiece_piece *pieces = reallocarray(model->pieces, capacity, sizeof *pieces);
        if (!pieces) {
            (void)err_set(err, ERR_NO_MEMORY, "out of memory");
            return NULL;
        }
        model->pieces = pieces;
        model->capacity = capacity;
    }
    return &model->pieces[model->count];
}

static int read_piece_field(struct reading *reading, const struct protobuf_field *field, struct err *err)
{
    struct sentencepiece_piece *piece = &reading->model->pieces[reading->model->count];
    switch (field->number) {
    case PIECE_TEXT:
        piece->text = (const char *)field->data;
        piece->size = field->size;
        return expect(field, PROTOBUF_BYTES, err);
    case PIECE_SCORE:
        piece->score = protobuf_float(field);
        return expect(field, PROTOBUF_FIXED32, err);
    case PIECE_TYPE:
        if (field->value < SENTENCEPIECE_NORMAL || field->value > SENTENCEPIECE_BYTE)
            return err_set(err, ERR_UNSUPPORTED, "its type is not one of SentencePiece's");
        piece->type = (enum sentencepiece_type)field->value;
        return expect(field, PROTOBUF_VARINT, err);
    default:
        return 0;
    }
}

int sentencepiece_shown_size(const struct sentencepiece_piece *piece)
{
    return json_field_shown_size(piece->text, piece->size);
}

static int check_piece(const struct sentencepiece_piece *piece, struct err *err)
{
    const int is_cut = piece->type == SENTENCEPIECE_NORMAL;
    const size_t limit = is_cut ? LIMIT_SENTENCEPIECE_PIECE_BYTES : LIMIT_ADDED_TOKEN_BYTES;
    uint32_t codepoint;
    if (piece->size == 0)
        return err_set(err, ERR_FORMAT, "it is empty");
    if (unicode_valid_prefix(piece->text, piece->size) < piece->size)
        return err_set(err, ERR_FORMAT, "it is not UTF-8");
    if (piece->size > limit)
        return err_set(err, ERR_LIMIT, "it has more than %zu bytes", limit);
    if (!isfinite(piece->score))
        return err_set(err, ERR_FORMAT, "\"%.*s\": its score is not a finite number",
                       sentencepiece_shown_size(piece), piece->text);
    if (piece->type == SENTENCEPIECE_UNUSED)
        return err_set(err, ERR_UNSUPPORTED, "\"%.*s\": the type UNUSED is not supported",
                       sentencepiece_shown_size(piece), piece->text);
    if (!is_cut && piece->type != SENTENCEPIECE_USER_DEFINED &&
        unicode_decode_valid((const unsigned char *)piece->text, &codepoint) == piece->size)
        return err_set(err, ERR_UNSUPPORTED,
                       "\"%.*s\": one character that is no part of a text is not supported",
                       sentencepiece_shown_size(piece), piece->text);
    return 0;
}

static int read_piece(struct reading *reading, const struct protobuf_field *field, struct err *err)
{
    struct sentencepiece *model = reading->model;
    struct sentencepiece_piece *piece = next_place(model, err);
    if (!piece)
        return err->code;
    *piece = (struct sentencepiece_piece){.text = "", .type = SENTENCEPIECE_NORMAL};
    if (read_nested(reading, field, read_piece_field, err) || check_piece(piece, err))
        return err_wrap(err, "piece %zu", model->count);
    if (piece->type == SENTENCEPIECE_UNKNOWN) {
        if (model->unknown_id != UINT32_MAX)
            return err_set(err, ERR_FORMAT, "pieces %u and %zu are both for the unknown", model->unknown_id,
                           model->count);
        model->unknown_id = (uint32_t)model->count;
    }
    model->count++;
    return 0;
}

static int read_model(struct reading *reading, const struct protobuf_field *field, struct err *err)
{
    switch (field->number) {
    case MODEL_PIECES:
        return read_piece(reading, field, err);
    case MODEL_TRAINER:
        return read_nested(reading, field, read_trainer, err) ? err_wrap(err, "trainer_spec") : 0;
    case MODEL_NORMALIZER:
        return read_nested(reading, field, read_normalizer, err) ? err_wrap(err, "normalizer_spec") : 0;
    default:
        return 0;
    }
}

/* -- The whole ------------------------------------------------------------------------------------------- */

static int check_bytes(const struct sentencepiece *model, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct sentencepiece_piece *piece = &model->pieces[i];
        if (piece->type != SENTENCEPIECE_BYTE)
            continue;
        if (!model->has_byte_fallback)
            return err_set(err, ERR_FORMAT, "piece %zu is for a byte, but byte_fallback is false", i);
        count++;
    }
    /* That they are all different and "<0x00>" to "<0xFF>" is found where they are looked up. */
    if (model->has_byte_fallback && count != 256)
        return err_set(err, ERR_FORMAT, "byte_fallback: %zu pieces are for bytes, instead of 256", count);
    return 0;
}

static int check_whole(const struct reading *reading, struct err *err)
{
    static const char *const kinds[] = {"an unknown kind", "Unigram", "", "word", "character"};
    const struct sentencepiece *model = reading->model;
    if (model->count == 0)
        return err_set(err, ERR_FORMAT, "it has no pieces");
    if (reading->kind != KIND_BPE)
        return err_set(err, ERR_UNSUPPORTED, "trainer_spec: model_type: %s is not supported, only BPE is",
                       kinds[reading->kind > KIND_CHAR ? 0 : reading->kind]);
    if (model->unknown_id == UINT32_MAX)
        return err_set(err, ERR_FORMAT, "no piece is for the unknown");
    return check_bytes(model, err);
}

int sentencepiece_is_likely(const void *data, size_t size)
{
    return size > 0 && *(const unsigned char *)data == (MODEL_PIECES << 3 | PROTOBUF_BYTES);
}

int sentencepiece_read(const void *data, size_t size, struct sentencepiece *ret_model, struct err *err)
{
    *ret_model = (struct sentencepiece){
        .unknown_id = UINT32_MAX,
        .unknown_name = "<unk>",
        .unknown_name_size = sizeof "<unk>" - 1,
        .bos_name = "<s>",
        .bos_name_size = sizeof "<s>" - 1,
        .has_dummy_space = 1,
        .removes_extra_spaces = 1,
        .marks_spaces = 1,
    };
    struct reading reading = {.model = ret_model, .kind = KIND_UNIGRAM};
    buf_init(&ret_model->bytes, LIMIT_SENTENCEPIECE_BYTES);
    if (size > LIMIT_SENTENCEPIECE_BYTES)
        return err_set(err, ERR_LIMIT, "%zu bytes are more than the limit of %zu", size,
                       LIMIT_SENTENCEPIECE_BYTES);
    if (!sentencepiece_is_likely(data, size))
        return err_set(err, ERR_UNSUPPORTED,
                       "it is not SentencePiece's (tiktoken has files of that name, too)");
    (void)buf_append(&ret_model->bytes, data, size);
    if (buf_check(&ret_model->bytes, "its bytes", err))
        return err->code;
    if (read_message(&reading, (const unsigned char *)ret_model->bytes.data, size, read_model, err) ||
        check_whole(&reading, err))
        return err->code;
    return charsmap_read(reading.charsmap, reading.charsmap_size, &ret_model->charsmap, err)
               ? err_wrap(err, "normalizer_spec: precompiled_charsmap")
               : 0;
}

void sentencepiece_free(struct sentencepiece *model)
{
    if (!model)
        return;
    buf_free(&model->bytes);
    free(model->pieces);
    *model = (struct sentencepiece){.count = 0};
}
