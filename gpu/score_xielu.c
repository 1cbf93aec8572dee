#include "gpu/score_xielu.h"

#include "gpu/half.h"
#include "gpu/score_architecture.h"

#include <math.h>
#include <string.h>

static double number_of(const struct tensor_view *view)
{
    float number = 0;
    uint16_t half = 0;
    if (view->dtype == TENSOR_DTYPE_F32) {
        memcpy(&number, view->data, sizeof(number));
        return (double)number;
    }
    memcpy(&half, view->data, sizeof(half));
    return (double)(view->dtype == TENSOR_DTYPE_F16 ? half_from_f16(half) : half_from_bf16(half));
}

/* log(1 + exp(x)); beyond 20 it is x, as torch has it. */
static double softplus(double x)
{
    return x > 20 ? x : log1p(exp(x));
}

struct score_xielu score_xielu_of(const struct tensor_view *views)
{
    const double beta = number_of(&views[SCORE_ROLE_XIELU_BETA]);
    return (struct score_xielu){
        .positive = (float)softplus(number_of(&views[SCORE_ROLE_XIELU_POSITIVE])),
        .negative = (float)(beta + softplus(number_of(&views[SCORE_ROLE_XIELU_NEGATIVE]))),
        .beta = (float)beta,
        .epsilon = (float)number_of(&views[SCORE_ROLE_XIELU_EPSILON]),
    };
}
