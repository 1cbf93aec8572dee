#include "daemon/options/options_table.h"

#include "daemon/options/options.h"
#include "daemon/options/origins.h"

#define AT(member) offsetof(struct options, member)
#define TEXT(section, name, member, standard, value, help)                                                   \
    {                                                                                                        \
        section, name, OPTION_KIND_TEXT, AT(member), standard, NULL, 0, 0, 0, value, help, NULL              \
    }
#define LATER(section, name, member, standard, value, help) /* a text that SIGHUP takes over */              \
    {                                                                                                        \
        section, name, OPTION_KIND_TEXT, AT(member), standard, NULL, 0, 0, 1, value, help, NULL              \
    }
#define CHECKED(section, name, member, standard, check, value, help)                                         \
    {                                                                                                        \
        section, name, OPTION_KIND_TEXT, AT(member), standard, NULL, 0, 0, 0, value, help, check             \
    }
#define CHOICE(section, name, member, standard, choices, may_change, help)                                   \
    {                                                                                                        \
        section, name, OPTION_KIND_CHOICE, AT(member), standard, choices, 0, 0, may_change, choices, help,   \
            NULL                                                                                             \
    }
#define INT(section, name, member, standard, minimum, maximum, value, help)                                  \
    {                                                                                                        \
        section, name, OPTION_KIND_INT, AT(member), standard, NULL, minimum, maximum, 0, value, help, NULL   \
    }
#define BOOL(section, name, member, standard, help)                                                          \
    {                                                                                                        \
        section, name, OPTION_KIND_BOOL, AT(member), standard, NULL, 0, 0, 0, "yes|no", help, NULL           \
    }

/* clang-format off */
const struct option_row option_rows[] = {
    TEXT("server", "listen", listen, "127.0.0.1:7143", "ADDRESS:PORT",
         "Where the API and the dashboard are served. Port 0 takes any free port; STATE/address says which. "
         "An address beyond loopback needs a token: see bifurcated token --help."),
    TEXT("server", "token-file", token_file, "", "FILE",
         "A file with a bearer token that allows everything, in addition to those of bifurcated token. With it, "
         "writes need a token on loopback, too. Read again at SIGHUP; the old token then counts no more."),
    CHOICE("server", "read-access", read_access, "open", "open|token", 0,
         "Who may read: everybody who can reach the address, or only holders of a token with the scope read. Probes and "
         "the dashboard's pages, which hold no data, stay open. Writes always need a token beyond loopback."),
    CHECKED("server", "cors-origin", cors_origin, "", origins_check, "ORIGIN",
         "Origins (https://host:port, separated by spaces) whose pages may use the API in a browser, or * for all. "
         "Without a token they only read. Empty: none."),
    TEXT("server", "tls-certificate", tls_certificate, "", "FILE",
         "Serve TLS with this certificate and its chain (PEM). Read again at SIGHUP. Empty: plain HTTP."),
    TEXT("server", "tls-key", tls_key, "", "FILE",
         "The key of tls-certificate (PEM)."),
    INT("server", "rate-limit", rate_limit, "500", 0, 1000000, "N",
         "Requests per second from one address, and with one token, on average; ten seconds' worth may come at once. Beyond "
         "that the answer is 429 with Retry-After. 0: no limit."),
    INT("server", "rate-limit-loopback", rate_limit_loopback, "0", 0, 1000000, "N",
         "The same for addresses of this machine, without a token; 0: no limit."),
    INT("server", "http-connections", http_connections, "4096", 16, 100000, "N",
         "Connections at once. One more takes the place of the one that has waited longest for its client. "
         "Half of them may follow sweeps."),
    INT("server", "http-connections-per-address", http_connections_per_address, "1024", 0, 100000, "N",
         "The same for each address; 0: no such bound. A proxy is one address."),
    INT("server", "http-threads", http_threads, "0", 0, 64, "N",
         "Threads that answer requests. 0: one per processor, but two to eight. A single thread answers evenly under full "
         "load, but a slow read holds up all others."),
    TEXT("server", "state", state, "", "FOLDER",
         "The folder of the database. Empty: $STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/bifurcated, "
         "else ~/.local/state/bifurcated."),
    TEXT("hub", "endpoint", endpoint, "", "URL",
         "The hub. Empty: $HF_ENDPOINT, else https://huggingface.co."),
    TEXT("hub", "hub-cache", hub_cache, "", "FOLDER",
         "The cache shared with Python. Empty: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub."),
    TEXT("hub", "ca-file", ca_file, "", "FILE",
         "Certificates (PEM) to trust instead of the system's."),
    CHOICE("hub", "keep", keep, "nothing", "nothing|ranges|files", 0,
         "What is kept on disk of the bytes that are fetched: nothing (only measured tensors are fetched, into memory), "
         "ranges (the same bytes, in STATE/ranges, so that measuring again needs no network), or whole files in the "
         "cache shared with Python (of what trainers go on from, that is the optimizer's states, too)."),
    BOOL("hub", "offline", offline, "no",
         "Make no requests; use only the cache. A sweep measures what is there, and leaves out displacements whose reference "
         "(the first or the previous revision that the database knows) is not. HF_HUB_OFFLINE=1 does the same."),
    INT("hub", "connections", connections, "8", 1, 256, "N",
         "Connections to the hub at once."),
    INT("hub", "request-budget", request_budget, "2500", 0, 1000000, "N",
         "Requests to the hub per five minutes, for lists and for files separately, as the hub counts them, so that its rate "
         "limit (3000 files without a token) is not reached. 0: no budget."),
    INT("hub", "cache-budget-mb", cache_budget_mb, "0", 0, 1000000000, "MB",
         "With keep = files or ranges: what this daemon fetched is evicted, least recently used first, beyond this; "
         "0: no limit. Downloads under way are not evicted, and others wait for them; a larger file is refused."),
    INT("hub", "stall-timeout-s", stall_timeout_s, "30", 1, 3600, "SECONDS",
         "A transfer that receives no byte for this long, or takes ten times as long in all, is broken off and tried "
         "again; what has arrived of a range is kept."),
    TEXT("compute", "device", device, "auto", "NAME",
         "auto (a GPU if its module loads and answers, else the CPU), cpu, or cuda:N."),
    TEXT("compute", "cuda-module", cuda_module, "", "FILE",
         "The CUDA module. Empty: where it was installed."),
    INT("compute", "device-memory-mb", device_memory_mb, "0", 0, 100000000, "MB",
         "GPU memory that this process may take for tensors, models and computing, on top of the few hundred MB of CUDA's own "
         "context; 0: whatever is free. With less, texts are scored in smaller batches, models two layers at a time and tensors "
         "part by part; what still does not fit fails. On the CPU: memory for a model that is scored, on top of memory-mb."),
    INT("compute", "threads", threads, "0", 0, 1024, "N",
         "Threads of the CPU device; 0: one per processor."),
    INT("compute", "hang-after-s", hang_after_s, "1800", 0, 604800, "SECONDS",
        "When nothing moves on a revision for this long (no byte is read, nothing hashed, no text scored), that is one failed "
        "attempt (none where its whole folder does not answer), and the process ends with status 70 so that its supervisor "
        "restarts it: there is no other way out of a driver, or a network file system, that does not answer. Waiting for the "
        "hub or for other revisions is no hang. After a quarter of this time there is a warning. A sweep or watch whose folder "
        "does not answer for this long fails before it has tasks, and holds up nothing else. 0: never."),
    INT("queue", "fetchers", fetchers, "3", 0, 64, "N",
         "Revisions that are fetched at once, ahead of measuring; 0: none, remote workers do all the work."),
    INT("queue", "memory-mb", memory_mb, "0", 0, 100000000, "MB",
         "Main memory for tensors; 0: a quarter of the machine's, or, with more than two GPUs, half of it divided by their "
         "number, since each GPU has its own process. Beside a GPU, a model that the processor scores takes at most as much "
         "again."),
    INT("queue", "references-mb", references_mb, "8000", 0, 100000000, "MB",
         "The tensor that displacements of a folder's run are measured from is kept in STATE/references, since trainers "
         "delete old checkpoints. Beyond this size the least recently used go; 0: none is kept."),
    INT("queue", "attempts", attempts, "5", 1, 100, "N",
         "How often a revision is tried before it counts as failed."),
    INT("queue", "retry-delay-s", retry_delay_s, "5", 0, 86400, "SECONDS",
         "The pause before the second attempt; it doubles with each."),
    INT("queue", "lease-s", lease_s, "60", 1, 86400, "SECONDS",
         "A remote worker that is silent for this long loses its revision to another."),
    INT("queue", "retention-days", retention_days, "0", 0, 36500, "DAYS",
        "Once a day, sweeps that ended longer ago than this are deleted with their history, and so are the distributions of "
        "weights that no branch has any more. Results of current revisions stay. 0: nothing is deleted."),
    INT("slurm", "slurm-workers-max", slurm_workers_max, "0", 0, 1000, "N",
        "Workers that run as jobs of a Slurm cluster at once, submitted as the queue needs them; 0: none. "
        "deploy/slurm explains."),
    TEXT("slurm", "slurm-partition", slurm_partition, "", "NAME",
         "The partition (sbatch --partition). Empty: the cluster's default."),
    TEXT("slurm", "slurm-account", slurm_account, "", "NAME",
         "The account that is charged (sbatch --account)."),
    TEXT("slurm", "slurm-gres", slurm_gres, "", "LIST",
         "Generic resources of each worker (sbatch --gres), such as gpu:1."),
    TEXT("slurm", "slurm-time", slurm_time, "", "TIME",
         "The time limit of a worker (sbatch --time), such as 2:00:00. A worker that reaches it is replaced."),
    TEXT("slurm", "slurm-arguments", slurm_arguments, "", "WORDS",
         "More arguments for sbatch, separated by spaces, such as --mem=8G --cpus-per-task=4."),
    TEXT("slurm", "slurm-output", slurm_output, "", "PATTERN",
         "Where workers write (sbatch --output), such as /shared/logs/%A_%a.log; the nodes must have the folder. "
         "Empty: nowhere."),
    TEXT("slurm", "slurm-connect", slurm_connect, "", "URL",
         "The daemon's address as the nodes see it. Empty: where it listens."),
    TEXT("slurm", "slurm-token-file", slurm_token_file, "", "FILE",
         "The file with the workers' token, as the nodes see it. Empty: token-file."),
    TEXT("slurm", "slurm-ca-file", slurm_ca_file, "", "FILE",
         "Certificates (PEM) that workers trust where the daemon speaks TLS, as the nodes see the file. "
         "Empty: the system's."),
    TEXT("slurm", "slurm-program", slurm_program, "", "FILE",
         "What a job runs, as the nodes see it: bifurcated, or a script that prepares a node and ends with "
         "exec bifurcated \"$@\". Empty: this program."),
    TEXT("slurm", "slurm-folder", slurm_folder, "", "FOLDER",
         "Where sbatch, squeue, sacct and scancel are. Empty: in PATH."),
    INT("slurm", "slurm-idle-s", slurm_idle_s, "60", 1, 86400, "SECONDS",
        "A worker that has had nothing to do for this long gives its node back."),
    INT("slurm", "slurm-poll-s", slurm_poll_s, "10", 1, 3600, "SECONDS",
        "How often squeue is asked."),
    CHOICE("log", "log-level", log_level, "info", "debug|info|warning|error", 1,
         "The least important events that are logged."),
    CHOICE("log", "log-format", log_format, "text", "text|json", 1,
         "Lines for people, or JSON for machines."),
    LATER("log", "access-log", access_log, "off", "off|on|FILE",
         "A line for each answered request: on puts it into the log; anything else is a file (an absolute path) that is "
         "appended to and, at SIGHUP, reopened. When off, requests are logged at level debug."),
};
/* clang-format on */

const size_t option_row_count = sizeof option_rows / sizeof option_rows[0];
