/*
 * The daemon's options: one table drives the command line, the environment, the INI file, and what
 * daemon/command/help.h prints.
 *
 * Precedence: command line (--listen 127.0.0.1:0) over environment (BIFURCATED_LISTEN) over the INI file
 * ([server] listen = ...) over the default. No file is needed.
 */
#ifndef BIFURCATED_OPTIONS_OPTIONS_H
#define BIFURCATED_OPTIONS_OPTIONS_H

#include "daemon/base/err.h"
#include "daemon/base/log.h"

#include <stdint.h>
#include <stdio.h>

enum options_action {
    OPTIONS_ACTION_RUN,
    OPTIONS_ACTION_HELP,
    OPTIONS_ACTION_VERSION,
    OPTIONS_ACTION_PRINT_CONFIG,
    OPTIONS_ACTION_PRINT_MAN,
};

struct options {
    char *config; /* the INI file that was read, or NULL */

    char *listen;          /* "127.0.0.1:7143", "[::1]:0" */
    char *token_file;      /* a bearer token with every scope; "" none */
    char *read_access;     /* "open" or "token" */
    char *cors_origin;     /* "" none */
    char *tls_certificate; /* "" plain HTTP */
    char *tls_key;
    int64_t rate_limit;          /* requests per second; 0 none */
    int64_t rate_limit_loopback; /* the same for addresses of this machine */
    int64_t http_connections;
    int64_t http_connections_per_address; /* 0 no bound */
    int64_t http_threads;                 /* 0 by the number of processors */

    char *state; /* folder of the database and the lock; "" until options_load filled in the default */

    char *endpoint;  /* "" = HF_ENDPOINT or https://huggingface.co */
    char *hub_cache; /* "" = HF_HUB_CACHE, HF_HOME, ... */
    char *ca_file;
    char *keep; /* "nothing" or "files" */
    int64_t offline;
    int64_t connections;
    int64_t request_budget;
    int64_t cache_budget_mb;
    int64_t stall_timeout_s;

    char *device; /* "auto", "cpu", "cuda:0" */
    char *cuda_module;
    int64_t device_memory_mb; /* that the device may take; 0: what is free there */
    int64_t threads;
    int64_t hang_after_s; /* without any progress a task has failed; 0: never */

    int64_t fetchers;       /* tasks that are fetched at once */
    int64_t memory_mb;      /* tensors in memory at once; 0: a share of the machine's */
    int64_t references_mb;  /* tensors of folders' runs on disk */
    int64_t attempts;       /* of a task before it fails */
    int64_t retry_delay_s;  /* before the second attempt; doubles */
    int64_t retention_days; /* of finished sweeps; 0: for ever */
    int64_t lease_s;        /* of remote workers */

    int64_t slurm_workers_max; /* 0: no executor */
    char *slurm_partition;
    char *slurm_account;
    char *slurm_gres;
    char *slurm_time;
    char *slurm_arguments; /* more for sbatch, separated by blanks */
    char *slurm_output;
    char *slurm_connect; /* "" = where the daemon listens */
    char *slurm_token_file;
    char *slurm_ca_file;
    char *slurm_program; /* "" = this program */
    char *slurm_folder;
    int64_t slurm_idle_s;
    int64_t slurm_poll_s;

    char *log_level;
    char *log_format;
    char *access_log; /* "off", "on" or a file */
};

/* Fills *options from the defaults, the file, the environment and the arguments, in that order. ERR_INVALID
 * names the option and what it may be. The caller frees with options_free, also after an error. */
int options_load(int argc, char **argv, struct options *options, enum options_action *ret_action,
                 struct err *err);

/* Whether there is an option of this name. */
int options_has(const char *name);

/* Whether an argument is such an option, "--name" or "--name=value", or --config: all of them take a value.
 */
int options_takes(const char *argument);

/* Reads file, environment and arguments again into a second set and takes over those options that may change
 * while running (those of the log); names the first other one that differs in `ignored` (may be ""). */
int options_reload(int argc, char **argv, struct options *options, char *ignored, size_t ignored_size,
                   struct err *err);

/* Makes the log as the options say. */
void options_apply_log(const struct options *options);

void options_free(struct options *options);

/* Splits "127.0.0.1:7143" or "[::1]:7143" into address and port. */
int options_parse_listen(const char *listen, char *address, size_t address_size, uint16_t *ret_port,
                         struct err *err);

#endif
