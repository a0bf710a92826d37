/*
 * compare_trace.c - has the tool replay a trace under one malloc after the
 * other.
 *
 * Each round has a run under every malloc, so that a machine that turns slow is
 * slow for all. The system's is there twice: what lies between its two rows is
 * noise. Of each malloc the run with the least CPU time is shown.
 */
#define _GNU_SOURCE
#include "compare_trace.h"

#include "launch.h"
#include "outcome.h"
#include "trace.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct peer {
    const char *name, *file;
} peers[] = {
    {"jemalloc", "libjemalloc.so.2"},
    {"tcmalloc", "libtcmalloc_minimal.so.4"},
    {"mimalloc", "libmimalloc.so.2"},
    {"tbbmalloc", "libtbbmalloc_proxy.so.2"},
};

static bool find_peer(const struct peer *peer, char path[PATH_MAX])
{
    static const char *const folders[] = {
        "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
        "/usr/lib", "/usr/local/lib"};

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, PATH_MAX, "%s/%s", folders[i], peer->file);
        if (access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* Runs this tool on the trace with the library preloaded, or none. */
static bool play_under(const char *library, const char *path,
                       struct outcome *outcome)
{
    int ends[2], status;
    bool is_read;
    pid_t child;
    FILE *file;

    require(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        if (library != NULL)
            setenv("LD_PRELOAD", library, 1);
        else
            unsetenv("LD_PRELOAD");
        execl("/proc/self/exe", "ptm", "replay", "--numbers", path,
              (char *)NULL);
        _exit(exit_tool);
    }
    close(ends[1]);
    file = fdopen(ends[0], "r");
    require(file != NULL, "fdopen");
    is_read = outcome_read(file, outcome);
    fclose(file);
    require(waitpid(child, &status, 0) == child, "waitpid");
    return is_read && status == 0;
}

struct rival {
    const char *name;
    char library[PATH_MAX]; /* empty: the system's */
    struct outcome best;
    bool is_there;
};

enum {
    rival_system,
    rival_control,
    rival_ptm,
    rival_first_peer,
    rivals = rival_first_peer + sizeof peers / sizeof *peers
};

static void find_rivals(struct rival *all)
{
    all[rival_system] = (struct rival){.name = "system", .is_there = true};
    all[rival_control] =
        (struct rival){.name = "system again", .is_there = true};
    all[rival_ptm] = (struct rival){.name = "ptm", .is_there = true};
    find_library(all[rival_ptm].library);
    for (int i = rival_first_peer; i < rivals; i++) {
        const struct peer *peer = &peers[i - rival_first_peer];

        all[i].name = peer->name;
        all[i].is_there = find_peer(peer, all[i].library);
    }
}

/* A malloc that cannot do it is shown no more; it, or the tool, has said why.
 */
static void play_round(struct rival *all, const char *path, long round)
{
    for (int i = 0; i < rivals; i++) {
        struct rival *rival = &all[(round + i) % rivals];
        struct outcome outcome = {0};

        if (!rival->is_there)
            continue;
        rival->is_there = play_under(rival->library[0] ? rival->library : NULL,
                                     path, &outcome);
        if (round == 0 || outcome.microseconds < rival->best.microseconds)
            rival->best = outcome;
        if (!all[rival_system].is_there)
            return;
    }
}

static uint64_t most_resident(const struct rival *all)
{
    uint64_t most = 0;

    for (int i = 0; i < rivals; i++)
        for (unsigned k = 0; all[i].is_there && k < all[i].best.sample_count;
             k++)
            if (all[i].best.resident[k] > most)
                most = all[i].best.resident[k];
    return most;
}

bool is_trace(const char *path)
{
    char magic[raw_magic_size] = "";
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool is_one = file >= 0 &&
                  read(file, magic, sizeof magic) == sizeof magic &&
                  memcmp(magic, ANY_TRACE, strlen(ANY_TRACE)) == 0;

    if (file >= 0)
        close(file);
    return is_one;
}

int compare_trace(const char *path, long rounds)
{
    static struct rival all[rivals];
    uint64_t most;

    find_rivals(all);
    for (long round = 0; round < rounds; round++) {
        play_round(all, path, round);
        if (!all[rival_system].is_there)
            return exit_tool;
    }
    most = most_resident(all);
    outcome_print_heading(&all[rival_system].best);
    for (int i = 0; i < rivals; i++)
        if (all[i].is_there)
            outcome_print(all[i].name, &all[i].best, most);
    return 0;
}
