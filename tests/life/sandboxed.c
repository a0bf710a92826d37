/*
 * sandboxed.c - the allocator works in a sandbox that refuses the system calls
 * it could do without.
 *
 * A seccomp filter answers ENOSYS to advice, remapping, random numbers, and to
 * asking for the CPUs; the program then starts itself anew, so that the filter
 * is there from the first instruction.
 */
#include "hammer.h"
#include "trial.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#define REFUSE(number)                                                         \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)

#define ALLOW(number)                                                          \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

#define KILL(number)                                                           \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static int obey(struct sock_filter *rules, size_t count)
{
    struct sock_fprog program = {(unsigned short)count, rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int enter_sandbox(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_madvise),
        REFUSE(SYS_mremap),
        REFUSE(SYS_getrandom),
        REFUSE(SYS_sched_getaffinity),
        REFUSE(SYS_prctl),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return obey(rules, sizeof rules / sizeof *rules);
}

static int enter_deadly_sandbox(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_mprotect),
        ALLOW(SYS_madvise),
        ALLOW(SYS_mremap),
        ALLOW(SYS_write),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };

    return obey(rules, sizeof rules / sizeof *rules);
}

/* 1 MiB to 20 MiB and back: with mremap refused, the contents are copied. */
static void resize_mapping(void)
{
    enum { MIB = 1 << 20 };
    char *block = malloc(MIB);

    MUST(block != NULL);
    memset(block, 'm', MIB);
    block = realloc(block, 20 * MIB);
    MUST(block != NULL);
    MUST(block[0] == 'm' && block[MIB - 1] == 'm');
    block = realloc(block, MIB / 2);
    MUST(block != NULL);
    MUST(block[0] == 'm' && block[MIB / 2 - 1] == 'm');
    free(block);
}

/* Who opens a file, or asks about one, is killed; and who makes barriers in
 * other threads. */
static int enter_sandbox_without_files(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        KILL(SYS_openat),
        KILL(SYS_newfstatat),
        KILL(SYS_readlinkat),
        KILL(SYS_statx),
        KILL(SYS_read),
        KILL(SYS_membarrier),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };

    return obey(rules, sizeof rules / sizeof *rules);
}

/* 20 MiB in blocks of all sizes, twice: where there is a limit, it is asked for
 * as the sandbox is entered, and need not be again so soon. */
static void use_memory(void)
{
    enum { MOST = 200 };
    static char *blocks[MOST];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MOST; i++) {
            size_t size = (size_t)i * 7919 % 200000 + 1;
            MUST((blocks[i] = malloc(size)) != NULL);
            memset(blocks[i], 'd', size);
        }
        for (int i = 0; i < MOST; i++)
            free(blocks[i]);
        malloc_trim(0);
    }
}

static void live_on_memory(void)
{
    trial_watch();
    hammer_some(5000);
    free(malloc(400000));
    if (enter_deadly_sandbox() != 0)
        _exit(TRIAL_SKIPPED);
    use_memory();
    resize_mapping();
    _exit(0);
}

/* Has much in its cache, and sleeps: in other programs that goes back. */
static void *fall_asleep(void *unused)
{
    enum { MOST = 20 };
    char *blocks[MOST];
    const struct timespec while_helper_looks = {0, 300 * 1000000};

    for (int round = 0; round < 2 * MOST; round++) {
        for (int i = 0; i < MOST; i++)
            MUST((blocks[i] = malloc(3000)) != NULL);
        for (int i = 0; i < MOST; i++)
            free(blocks[i]);
    }
    nanosleep(&while_helper_looks, NULL);
    return unused;
}

static void sleep_in_a_thread(void)
{
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, fall_asleep, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
}

/* It is small by then, and has one thread. */
static void live_without_files(void)
{
    trial_watch();
    MUST(ptm_option_set("decay", 4) == 0); /* which looks for a limit */
    if (enter_sandbox_without_files() != 0)
        _exit(TRIAL_SKIPPED);
    use_memory();
    hammer_some_in_threads(8, 100);
    sleep_in_a_thread();
    _exit(0);
}

static void a_deadly_sandbox_is_survived(void (*live)(void))
{
    pid_t child = fork();

    if (child == 0)
        live();
    trial_child_must_succeed(child);
}

int main(int argc, char **argv)
{
    static char inside[] = "inside";
    char *arguments[] = {argv[0], inside, NULL};

    if (argc == 1) {
        a_deadly_sandbox_is_survived(live_without_files);
        a_deadly_sandbox_is_survived(live_on_memory);
        if (enter_sandbox() != 0)
            return TRIAL_SKIPPED;
        execv("/proc/self/exe", arguments);
        return 1;
    }
    MUST(syscall(SYS_madvise, 0, 0, MADV_NORMAL) == -1 && errno == ENOSYS);
    trial_watch();
    trial_malloc_must_be_ptm();
    hammer_some(5000);
    resize_mapping();
    hammer_some_in_threads(8, 1000);
    MUST(ptm_check() == 0);
    return 0;
}
