/*
 * helper.c - the helper thread does its work in an idle process, and is in
 * nobody's way: fork, setuid, unshare, the end of the main thread.
 *
 * helper [none]. With "none" there must be no helper.
 */
#define _GNU_SOURCE
#include "trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

enum {
    MIB = 1 << 20,
    PEAK_BLOCKS = 3000,
    BLOCK = 20000,
};

static bool is_wanted = true;

/* ---- what the kernel says ------------------------------------------------ */

static void sleep_for(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void read_text(const char *path, char *text, size_t room)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, room - 1);
    text[length > 0 ? length : 0] = '\0';
    if (file >= 0)
        close(file);
}

static long resident_bytes(void)
{
    char text[200];
    long pages = 0;
    read_text("/proc/self/statm", text, sizeof text);
    MUST(sscanf(text, "%*d %ld", &pages) == 1);
    return pages * sysconf(_SC_PAGESIZE);
}

/* How many threads there are, and the number of the helper, or 0. */
static int count_threads(int *helper)
{
    char path[300], name[50];
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    MUST(folder != NULL);
    *helper = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        read_text(path, name, sizeof name);
        if (strcmp(name, "ptm-helper\n") == 0)
            *helper = atoi(entry->d_name);
    }
    closedir(folder);
    return count;
}

static int helper_number(void)
{
    int helper;
    count_threads(&helper);
    return helper;
}

/* How often it has gone to sleep, and what signals it takes. */
static long helper_status(int helper, const char *line, int base)
{
    char path[300], text[4000];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", helper);
    read_text(path, text, sizeof text);
    char *found = strstr(text, line);
    MUST(found != NULL);
    return (long)strtoul(found + strlen(line), NULL, base);
}

/* ---- scenes -------------------------------------------------------------- */

static void *tell_number(void *number)
{
    *(pid_t *)number = gettid();
    return NULL;
}

/* It is gone for the kernel, too, which counts it for a moment longer than
 * pthread_join does. */
static void make_a_thread(void)
{
    pthread_t thread;
    pid_t number;
    MUST(pthread_create(&thread, NULL, tell_number, &number) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    while (tgkill(getpid(), number, 0) == 0)
        sched_yield();
}

/* The helper names itself: a moment after it was made. */
static int await_helper(void)
{
    int helper = helper_number();
    for (; helper == 0; helper = helper_number())
        sleep_for(10);
    return helper;
}

static void there_is_one_when_there_is_a_thread(void)
{
    MUST(helper_number() == 0);
    make_a_thread();
    if (!is_wanted) {
        sleep_for(200);
        MUST(helper_number() == 0);
        return;
    }
    int helper = await_helper();
    /* All signals that a program can block, but not the two of libc. */
    unsigned long blocked = (unsigned long)helper_status(helper, "SigBlk:", 16);
    MUST((blocked | 0x180000000 | 1ul << (SIGKILL - 1) |
          1ul << (SIGSTOP - 1)) == ~0ul);
    make_a_thread();
    MUST(helper_number() == helper);
}

static void spend_a_peak(void)
{
    static char *blocks[PEAK_BLOCKS];
    for (int i = 0; i < PEAK_BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        MUST(blocks[i] != NULL);
        memset(blocks[i], 1, BLOCK);
    }
    for (int i = 0; i < PEAK_BLOCKS; i++)
        free(blocks[i]);
    void *large = malloc(20 * MIB);
    MUST(large != NULL);
    memset(large, 1, 20 * MIB);
    free(large);
}

/* Nothing here calls malloc. */
static void an_idle_process_shrinks(void)
{
    long before = resident_bytes();
    spend_a_peak();
    while (resident_bytes() > before + 6 * MIB)
        sleep_for(50);
}

/* Waits for two looks that see it sleep the same sleep. */
static void then_it_sleeps(void)
{
    int helper = await_helper();
    long sleeps = -1, now = 0;
    while (sleeps != now) {
        sleeps = helper_status(helper, "voluntary_ctxt_switches:", 10);
        sleep_for(2000);
        now = helper_status(helper, "voluntary_ctxt_switches:", 10);
    }
}

static void ids_are_set_for_all_threads(void)
{
    MUST(setresuid(getuid(), geteuid(), (uid_t)-1) == 0);
    MUST(setresgid(getgid(), getegid(), (gid_t)-1) == 0);
}

static void a_child_has_its_own(void)
{
    pid_t child = fork();
    if (child == 0) {
        int helper;
        trial_watch();
        MUST(count_threads(&helper) == 1 && helper == 0);
        make_a_thread();
        if (is_wanted)
            an_idle_process_shrinks();
        MUST((helper_number() != 0) == is_wanted);
        exit(0);
    }
    trial_child_must_succeed(child);
}

/* Again and again while the helper has something to do. */
static void forks_do_not_meet_it(void)
{
    for (int i = 0; i < 30; i++) {
        spend_a_peak();
        pid_t child = fork();
        if (child == 0) {
            trial_watch();
            spend_a_peak();
            _exit(ptm_check());
        }
        trial_child_must_succeed(child);
    }
}

/* Libc's fork handlers do not run; nobody may wait there for a thread that only
 * the parent has. */
static void a_bare_child_has_its_own(void)
{
    if (is_wanted)
        await_helper();
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        trial_watch();
        MUST(helper_number() == 0);
        MUST(unshare(CLONE_FS) == 0);
        make_a_thread();
        if (is_wanted)
            await_helper();
        pthread_exit(NULL);
    }
    trial_child_must_succeed(child);
}

/* It has its parent's memory and a process of its own, which has one thread. */
static void a_vfork_leaves_it_alone(void)
{
    int helper = helper_number();
    pid_t child = vfork();
    if (child == 0) {
        unshare(CLONE_FS);
        _exit(0);
    }
    trial_child_must_succeed(child);
    MUST(helper_number() == helper);
}

/* Where the kernel lets nobody do that, it says so by another error. */
static void unshare_works_as_with_one_thread(void)
{
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        make_a_thread();
        if (is_wanted)
            await_helper();
        MUST(unshare(CLONE_NEWUSER) == 0 || errno != EINVAL);
        MUST(helper_number() == 0);
        make_a_thread();
        if (is_wanted)
            await_helper();
        exit(0);
    }
    trial_child_must_succeed(child);
}

/* A filter of system calls, for which this is asked first, is for all threads
 * that there are. */
static void a_sandbox_is_entered_with_one_thread(void)
{
    pid_t child = fork();
    if (child == 0) {
        int helper;
        trial_watch();
        make_a_thread();
        if (is_wanted)
            await_helper();
        MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
        MUST(count_threads(&helper) == 1);
        make_a_thread();
        if (is_wanted)
            MUST(helper_status(await_helper(), "NoNewPrivs:", 10) == 1);
        exit(0);
    }
    trial_child_must_succeed(child);
}

static void *unshare_when_cancelled(void *is_past)
{
    MUST(pthread_cancel(pthread_self()) == 0);
    unshare(CLONE_FS);
    atomic_store((atomic_bool *)is_past, true);
    pthread_testcancel();
    return NULL;
}

/* To wait for the helper's end is a cancellation point, and unshare is none. */
static void unshare_is_not_cancelled(void)
{
    pid_t child = fork();
    if (child == 0) {
        trial_watch();
        for (int i = 0; i < 5; i++) {
            atomic_bool is_past = false;
            pthread_t thread;
            void *result;
            make_a_thread();
            if (is_wanted)
                await_helper();
            MUST(pthread_create(&thread, NULL, unshare_when_cancelled,
                                &is_past) == 0);
            MUST(pthread_join(thread, &result) == 0);
            MUST(result == PTHREAD_CANCELED && atomic_load(&is_past));
        }
        pthread_exit(NULL);
    }
    trial_child_must_succeed(child);
}

static void *end_late(void *unused)
{
    sleep_for(300);
    free(malloc(100));
    return unused;
}

/* The process ends with its last thread, which is not the helper. */
static void the_end_of_main_is_not_the_end(void)
{
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        trial_watch();
        make_a_thread();
        MUST(pthread_create(&thread, NULL, end_late, NULL) == 0);
        pthread_exit(NULL);
    }
    trial_child_must_succeed(child);
}

int main(int argc, char **argv)
{
    (void)argv;
    trial_watch();
    is_wanted = argc == 1;
    trial_malloc_must_be_ptm();
    there_is_one_when_there_is_a_thread();
    if (is_wanted) {
        an_idle_process_shrinks();
        trial_watch();
        then_it_sleeps();
        trial_watch();
        an_idle_process_shrinks();
    }
    trial_watch();
    ids_are_set_for_all_threads();
    a_child_has_its_own();
    trial_watch();
    forks_do_not_meet_it();
    a_bare_child_has_its_own();
    a_vfork_leaves_it_alone();
    unshare_works_as_with_one_thread();
    a_sandbox_is_entered_with_one_thread();
    trial_watch();
    unshare_is_not_cancelled();
    trial_watch();
    the_end_of_main_is_not_the_end();
    MUST(ptm_check() == 0);
    return 0;
}
