/* The cluster that workers are submitted to: whether its programs are there and it answers. */
#include "daemon/command/check.h"
#include "daemon/slurm/slurm.h"

#include <signal.h>

void check_slurm(const struct options *options, struct check_report *report)
{
    const struct slurm_options slurm = {.folder = options->slurm_folder};
    struct slurm_array none = {.name = "bifurcated-check"};
    struct err err = ERR_INIT;
    if (options->slurm_workers_max == 0)
        return;
    if (options->slurm_connect[0] && slurm_check_connect(options->slurm_connect, &err)) {
        check_add(report, CHECK_LEVEL_ERROR, "slurm", "%s", err.message);
        return;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* as process_run() needs it */
    if (slurm_find(&slurm, &none, 1, &err))
        check_add(report, CHECK_LEVEL_ERROR, "slurm", "%s", err.message);
    else
        check_add(report, CHECK_LEVEL_OK, "slurm", "squeue answers");
}
