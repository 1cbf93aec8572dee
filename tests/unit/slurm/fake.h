/*
 * Slurm's programs as shell scripts: each writes its arguments to FOLDER/<name>.calls, a line an argument,
 * then does what FOLDER/<name>.does says. They answer only what a test has written down; a real cluster is in
 * tests/e2e/test_slurm.py.
 */
#ifndef BIFURCATED_TESTS_SLURM_FAKE_H
#define BIFURCATED_TESTS_SLURM_FAKE_H

#include "tests/unit/base/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/slurm/slurm.h"

#include <signal.h>
#include <sys/stat.h>

static inline void fake_write(const char *folder, const char *name, const char *text, mode_t mode)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(file_write_atomic(path, text, strlen(text), mode, &err));
    assert_int_equal(chmod(path, mode), 0);
}

/* What the program does from now on: lines of shell. */
static inline void fake_does(const char *folder, const char *program, const char *script)
{
    char name[64], text[4096];
    (void)snprintf(name, sizeof name, "%s.does", program);
    fake_write(folder, name, script, 0644);
    (void)snprintf(text, sizeof text,
                   "#!/bin/sh\ncd %s\nfor a in \"$@\"; do echo \"$a\" >> %s.calls; done\necho . >> %s.calls\n"
                   ". ./%s.does\n",
                   folder, program, program, program);
    fake_write(folder, program, text, 0755);
}

/* The arguments of all calls so far, each call ended by a line "."; forgets them. The caller frees. */
static inline char *fake_calls(const char *folder, const char *program)
{
    char path[256];
    struct buf text;
    (void)snprintf(path, sizeof path, "%s/%s.calls", folder, program);
    buf_init(&text, MIB);
    if (file_exists(path))
        OK(file_read(path, &text, &err));
    (void)unlink(path);
    return text.data ? buf_take(&text) : strdup("");
}

static inline void fake_options(const char *folder, struct slurm_options *options)
{
    *options = (struct slurm_options){.folder = folder,
                                      .partition = "",
                                      .account = "",
                                      .gres = "",
                                      .time = "",
                                      .arguments = "",
                                      .output = "",
                                      .program = "/opt/bifurcated",
                                      .connect = "http://head:7143",
                                      .token_file = "",
                                      .ca_file = "",
                                      .workers_max = 4,
                                      .idle_s = 60};
}

#endif
