#include "api/form/csv.h"

#include "api/form/number.h"
#include "daemon/base/clock.h"

#include <inttypes.h>
#include <string.h>

void api_csv_init(struct api_csv *csv, struct buf *buf)
{
    *csv = (struct api_csv){.buf = buf};
}

void api_csv_empty(struct api_csv *csv)
{
    if (csv->needs_comma)
        buf_append_char(csv->buf, ',');
    csv->needs_comma = 1;
}

void api_csv_text(struct api_csv *csv, const char *value)
{
    api_csv_empty(csv);
    if (!value)
        return;
    if (!strpbrk(value, "\",\r\n")) {
        buf_append_text(csv->buf, value);
        return;
    }
    buf_append_char(csv->buf, '"');
    for (; *value; value++) {
        if (*value == '"')
            buf_append_char(csv->buf, '"');
        buf_append_char(csv->buf, *value);
    }
    buf_append_char(csv->buf, '"');
}

void api_csv_integer(struct api_csv *csv, int64_t value)
{
    api_csv_empty(csv);
    buf_appendf(csv->buf, "%" PRId64, value);
}

void api_csv_real(struct api_csv *csv, double value)
{
    char text[API_NUMBER_SIZE];
    api_number_format(value, text);
    api_csv_text(csv, text);
}

void api_csv_time(struct api_csv *csv, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE] = "";
    if (wall_ms)
        clock_format(wall_ms, text, sizeof text);
    api_csv_text(csv, text);
}

void api_csv_end_line(struct api_csv *csv)
{
    buf_append_text(csv->buf, "\r\n");
    csv->needs_comma = 0;
}
