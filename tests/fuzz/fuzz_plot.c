/* A figure of whatever a daemon may answer: {"distribution": …, "series": …, "analysis": …}. */
#include "api/client/plot.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *documents = json_loadb((const char *)data, size, 0, NULL);
    struct plot_source source = {json_object_get(documents, "distribution"),
                                 json_object_get(documents, "series"),
                                 json_object_get(documents, "analysis")};
    for (int i = 0; documents && i < 4; i++) {
        struct plot_options options = {.is_tokens = i & 1, .is_linear = i >> 1, .width = 500};
        struct err err = ERR_INIT;
        struct buf svg;
        buf_init(&svg, (size_t)1024 * 1024);
        if (plot_draw(&source, &options, &svg, &err) == 0 &&
            (svg.size < 7 || strcmp(buf_text(&svg) + svg.size - 7, "</svg>\n") != 0))
            abort();
        buf_free(&svg);
    }
    json_decref(documents);
    return 0;
}
