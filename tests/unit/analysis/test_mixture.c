/* Two Gaussians: known mixtures come back, one Gaussian is not split, what is not defined, the valley. */
#include "daemon/analysis/mixture.h"

#include "daemon/analysis/valley.h"
#include "tests/unit/analysis/density.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/analysis/near.h"

static struct mixture fit(const struct distribution_value *values, size_t count)
{
    struct mixture mixture;
    struct err err = ERR_INIT;
    assert_int_equal(mixture_fit(values, count, &mixture, &err), 0);
    return mixture;
}

static void test_known_mixtures(void **state)
{
    (void)state;
    const struct density densities[] = {{0.5, 3}, {0.5, 6}, {0.2, 4}, {0.85, 3.5}};
    for (size_t i = 0; i < sizeof(densities) / sizeof(densities[0]); i++) {
        size_t count = 0;
        struct distribution_value *values = density_values(mixture_below, &densities[i], -12, 12, &count);
        struct mixture mixture = fit(values, count);
        assert_true(mixture.is_defined && mixture.is_converged);
        assert_near(mixture.components[0].weight, densities[i].weight, 1e-3);
        assert_near(mixture.components[0].mean, -densities[i].distance / 2, 1e-3);
        assert_near(mixture.components[1].mean, densities[i].distance / 2, 1e-3);
        assert_near(mixture.components[0].sd, 1, 1e-3);
        assert_near(mixture.components[1].sd, 1, 1e-3);
        assert_near(mixture.ashman_d, densities[i].distance, 3e-3);
        assert_true(mixture.delta_bic > 1e6);
        free(values);
    }
}

/* The likelihood per element of two components, by the book. */
static double likelihood_of(const struct distribution_value *values, size_t count,
                            const struct mixture_component *c)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < count; i++) {
        double density = 0;
        for (int k = 0; k < 2; k++) {
            double z = (values[i].value - c[k].mean) / c[k].sd;
            density += c[k].weight * exp(-0.5 * z * z) / c[k].sd / 2.5066282746310002;
        }
        sum += (double)values[i].count * log(density);
        n += (double)values[i].count;
    }
    return sum / n;
}

/* Whatever the distribution, no parameter can be moved by a hundredth for a likelier fit. */
static void test_optimum(void **state)
{
    (void)state;
    const struct density near = {0.5, 2.5}, skewed = {0.03, 5};
    const struct {
        double (*below)(const void *context, double x);
        const struct density *density;
        double low, high;
    } cases[] = {{mixture_below, &near, -12, 12},
                 {mixture_below, &skewed, -12, 12},
                 {exponential_below, NULL, 0, 20},
                 {laplace_below, NULL, -12, 12},
                 {uniform_below, NULL, -1, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t count = 0;
        struct distribution_value *values =
            density_values(cases[i].below, cases[i].density, cases[i].low, cases[i].high, &count);
        struct mixture mixture = fit(values, count);
        double best = likelihood_of(values, count, mixture.components);
        assert_near(mixture.log_likelihood, best, 1e-9);
        for (int move = 0; move < 10; move++) {
            struct mixture_component c[2] = {mixture.components[0], mixture.components[1]};
            double step = (move & 1 ? 1 : -1) * 0.01;
            int k = move / 2 % 2;
            if (move < 4)
                c[k].mean += step * c[k].sd;
            else if (move < 8)
                c[k].sd *= 1 + step;
            else {
                c[0].weight += step * c[0].weight * c[1].weight;
                c[1].weight = 1 - c[0].weight;
            }
            assert_true(likelihood_of(values, count, c) < best + 1e-7);
        }
        free(values);
    }
}

static void test_not_separated(void **state)
{
    (void)state;
    size_t count = 0;
    struct density density = {.weight = 0.5, .distance = 0};
    struct distribution_value *values = density_values(mixture_below, &density, -12, 12, &count);
    assert_true(fit(values, count).ashman_d < 0.5);
    assert_near(valley_find(values, count).ratio, 1, 0);
    assert_int_equal(valley_find(values, count).peak_count, 1);
    free(values);
    values = density_values(laplace_below, NULL, -40, 40, &count); /* heavy tails: two widths, one mean */
    struct mixture mixture = fit(values, count);
    assert_true(mixture.ashman_d < 0.1 && mixture.delta_bic > 1e6);
    assert_near(valley_find(values, count).ratio, 1, 0);
    free(values);
}

static void test_ashman(void **state)
{
    (void)state;
    const struct mixture_component a = {0.5, 0, 1}, b = {0.5, 15, 3};
    assert_near(mixture_ashman_d(&a, &b), 6.7082, 1e-4);
}

static void test_valley(void **state)
{
    (void)state;
    const struct {
        double distance, low, high;
    } table[] = {{2.5, 0.8, 0.95}, {3, 0.55, 0.75}, {4, 0.2, 0.35}, {6, 0, 0.05}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct density density = {.weight = 0.5, .distance = table[i].distance};
        size_t count = 0;
        struct distribution_value *values = density_values(mixture_below, &density, -12, 12, &count);
        struct valley valley = valley_find(values, count);
        assert_true(valley.ratio > table[i].low && valley.ratio < table[i].high);
        assert_near(valley.position, 0, 0.1);
        assert_int_equal(valley.peak_count, 2);
        assert_int_equal(valley.mode_count, 2);
        free(values);
    }
}

struct comb {
    int count;
    double place[3], weight[3]; /* of Gaussians with deviation 1 */
};

static double comb_below(const void *context, double x)
{
    const struct comb *comb = context;
    double sum = 0;
    for (int i = 0; i < comb->count; i++)
        sum += comb->weight[i] * normal_below(x - comb->place[i]);
    return sum;
}

static void test_modes(void **state)
{
    (void)state;
    const struct {
        struct comb comb;
        int peaks, modes;
    } cases[] = {
        {{1, {0}, {1}}, 1, 1},
        {{3, {-4, 0, 4}, {1.0 / 3, 1.0 / 3, 1.0 / 3}}, 3, 3},
        {{3, {-4, 0, 4}, {0.2, 0.5, 0.3}}, 3, 3},
        {{2, {-3, 3}, {0.93, 0.07}}, 2, 2},
        {{2, {-3, 3}, {0.96, 0.04}}, 1, 1},   /* a peak below a twentieth of the highest */
        {{2, {-3, 3}, {0.951, 0.049}}, 2, 1}, /* a peak of too few */
        {{2, {-1.1, 1.1}, {0.5, 0.5}},
         2,
         1}, /* two equal ones that are hardly parted: one, not two or none */
        {{3, {-1.1, 1.1, 6}, {0.4, 0.4, 0.2}}, 3, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t count = 0;
        struct distribution_value *values = density_values(comb_below, &cases[i].comb, -12, 12, &count);
        struct valley valley = valley_find(values, count);
        assert_int_equal(valley.peak_count, cases[i].peaks);
        assert_int_equal(valley.mode_count, cases[i].modes);
        free(values);
    }
}

static void test_undefined(void **state)
{
    (void)state;
    const struct distribution_value few[] = {{0, 3}, {1, 4}}, one[] = {{2, 1000}};
    assert_false(fit(few, 2).is_defined);
    assert_false(fit(one, 1).is_defined);
    assert_true(isnan(fit(one, 1).ashman_d));
    assert_false(fit(NULL, 0).is_defined);
    assert_true(isnan(valley_find(one, 1).ratio));
    assert_int_equal(valley_find(one, 1).mode_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_mixtures), cmocka_unit_test(test_optimum),
        cmocka_unit_test(test_not_separated),  cmocka_unit_test(test_ashman),
        cmocka_unit_test(test_valley),         cmocka_unit_test(test_modes),
        cmocka_unit_test(test_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
