/* How long a certificate counts. */
#include "tests/unit/store/fixture.h"

#include "api/http/tls.h"

#define DAY_MS INT64_C(86400000)
#define FROM_MS INT64_C(1795812638000) /* 2026-11-27T20:50:38Z */
#define UNTIL_MS (FROM_MS + 100 * DAY_MS)

/* Of localhost, for a hundred days; its key was thrown away. */
static const char CERTIFICATE[] = "-----BEGIN CERTIFICATE-----\n"
                                  "MIIBfjCCASOgAwIBAgIUcc0GPGgziFIGM5yIVYqViVeRXUgwCgYIKoZIzj0EAwIw\n"
                                  "FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTI2MTEyNzIwNTAzOFoXDTI3MDMwNzIw\n"
                                  "NTAzOFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D\n"
                                  "AQcDQgAEC59Jo4ka4HcEOrI8pwXdtMWZBkDo9GlZIuMFVhGD+Ku85b1mnkPZ53Qf\n"
                                  "JvPl9blYoWh2LHQ0EnkFUTySXcpzF6NTMFEwHQYDVR0OBBYEFDAWPPeNd33fysyx\n"
                                  "mBDtc7dxFD3XMB8GA1UdIwQYMBaAFDAWPPeNd33fysyxmBDtc7dxFD3XMA8GA1Ud\n"
                                  "EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAKmVL5SX0tOo8vgagA3Feyz4\n"
                                  "eJOCW+qBANx5F4TR37wlAiEAsXlR+yWwTU6WrDJ9m8zZLikv1aECuPEbtgR1zGPt\n"
                                  "tYU=\n"
                                  "-----END CERTIFICATE-----\n";

/* As long as those of an authority. */
#define LONG_UNTIL_MS INT64_C(2111177844000)
static const char LONG_CERTIFICATE[] = "-----BEGIN CERTIFICATE-----\n"
                                       "MIIBfTCCASOgAwIBAgIUIzWsUm4iM1ltk/StVYtxD4gvhyswCgYIKoZIzj0EAwIw\n"
                                       "FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTI2MTEyNzIyMTcyNFoXDTM2MTEyNDIy\n"
                                       "MTcyNFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D\n"
                                       "AQcDQgAE4edUTNeRyknoQDTMjUDdjfp1uLSukbAIcavlemJBzy/zTMxSxzkcgZp3\n"
                                       "VjET2tAZiFIiQpA6cPci8CLE20psDaNTMFEwHQYDVR0OBBYEFEkNAqG6JIDiKWix\n"
                                       "HOTb4Nd4OmfvMB8GA1UdIwQYMBaAFEkNAqG6JIDiKWixHOTb4Nd4OmfvMA8GA1Ud\n"
                                       "EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAPHbPU6aawOW6Kehja9h7X8H\n"
                                       "khhIHmHH9RVOYkh8F+n+AiBXuPrzFE1oXJ7KQWZ1eNOegwE7FH/kn45YyUmvij4X\n"
                                       "JA==\n"
                                       "-----END CERTIFICATE-----\n";

static void expect(const char *certificate, int64_t now_ms, int level, const char *word)
{
    char doubt[ERR_MESSAGE_BYTES] = "";
    assert_int_equal(api_tls_doubt(certificate, now_ms, doubt, sizeof doubt), level);
    if (!strstr(doubt, word) || (level == 0 && doubt[0]))
        fail_msg("%s", doubt);
}

static void test_times(void **state)
{
    char chain[2 * sizeof CERTIFICATE];
    (void)state;
    (void)snprintf(chain, sizeof chain, "%s%s", CERTIFICATE, CERTIFICATE);
    expect(CERTIFICATE, FROM_MS - 1000, 2,
           "until 2026-11-27T20:50:38.000Z: see whether this machine's clock");
    expect(CERTIFICATE, 0, 2, "until 2026");
    expect(CERTIFICATE, FROM_MS, 0, "");
    expect(CERTIFICATE, UNTIL_MS - 10 * DAY_MS, 0, "");
    expect(CERTIFICATE, UNTIL_MS - 10 * DAY_MS + 1, 1, "from 2027-03-07T20:50:38.000Z: renew it");
    expect(CERTIFICATE, UNTIL_MS, 1, "from 2027");
    expect(CERTIFICATE, UNTIL_MS + 1, 2, "since 2027-03-07T20:50:38.000Z: renew it");
    expect(LONG_CERTIFICATE, LONG_UNTIL_MS - 30 * DAY_MS, 0, "");
    expect(LONG_CERTIFICATE, LONG_UNTIL_MS - 30 * DAY_MS + 1, 1, "from 2036");
    expect(chain, UNTIL_MS + DAY_MS, 2, "since 2027");
    expect("no certificate", UNTIL_MS + DAY_MS, 0, "");
    expect("", 0, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
