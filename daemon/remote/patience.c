#include "daemon/remote/patience.h"

#include "daemon/base/err.h"

void patience_begin(struct patience *patience, int64_t beats)
{
    *patience = (struct patience){.beats = beats};
}

int patience_is_over(struct patience *patience, int code, int64_t beats)
{
    const int was_there = beats != patience->beats;
    patience->beats = beats;
    patience->count += code == ERR_HTTP || (code == ERR_NETWORK && was_there);
    return patience->count >= PATIENCE_ATTEMPTS;
}
