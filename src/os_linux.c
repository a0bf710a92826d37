/*
 * os_linux.c - os.h on Linux.
 *
 * System calls go through syscall(2) and not through mmap(2) and its
 * siblings: those are often interposed by tools whose wrappers allocate,
 * which would come back into a locked arena.
 */
#define _GNU_SOURCE
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

enum {
    /* Enough for 8,192 CPUs, the most that the kernel can be built for. */
    CPU_MASK_WORDS = 128,

    /* The clock of a thread (4), by what the scheduler has counted (2). */
    THREAD_CLOCK = 6,
};

/* The result of the call, or -errno; errno itself stays as it was. */
static long quiet_syscall(long number, long a, long b, long c, long d, long e,
                          long f)
{
    int saved = errno;
    long result = syscall(number, a, b, c, d, e, f);
    if (result == -1) {
        result = -errno;
    }
    errno = saved;
    return result;
}

/* Tells an error from an address. */
static bool is_error(long result)
{
    return result < 0 && result > -4096;
}

size_t os_page_size(void)
{
    static size_t page_size;
    size_t size = __atomic_load_n(&page_size, __ATOMIC_RELAXED);
    if (unlikely(size == 0)) {
        int saved = errno;
        size = getauxval(AT_PAGESZ);
        errno = saved;
        __atomic_store_n(&page_size, size, __ATOMIC_RELAXED);
    }
    return size;
}

static void *map(void *address, size_t size, int protection, int flags)
{
    long result = quiet_syscall(SYS_mmap, (long)address, (long)size, protection,
                                MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return is_error(result) ? NULL : (void *)result;
}

void *os_reserve(size_t size)
{
    return map(NULL, size, PROT_READ, MAP_NORESERVE);
}

bool os_reserve_at(void *address, size_t size)
{
    void *got =
        map(address, size, PROT_READ, MAP_NORESERVE | MAP_FIXED_NOREPLACE);
    /* Kernels before 4.17 take the flag for a hint. */
    if (got != NULL && got != address) {
        os_unmap(got, size);
    }
    return got == address && got != NULL;
}

static bool protect(void *address, size_t size, int protection)
{
    return quiet_syscall(SYS_mprotect, (long)address, (long)size, protection, 0,
                         0, 0) == 0;
}

bool os_commit(void *address, size_t size)
{
    return protect(address, size, PROT_READ | PROT_WRITE);
}

bool os_decommit(void *address, size_t size)
{
    return map(address, size, PROT_READ, MAP_NORESERVE | MAP_FIXED) == address;
}

void *os_map(size_t size)
{
    return map(NULL, size, PROT_READ | PROT_WRITE, 0);
}

void *os_map_fenced(size_t size)
{
    size_t page = os_page_size();
    char *fence = map(NULL, size + 2 * page, PROT_NONE, MAP_NORESERVE);
    if (fence != NULL && !os_commit(fence + page, size)) {
        /* If that is refused too, some addresses are lost. */
        os_unmap(fence, size + 2 * page);
        fence = NULL;
    }
    return fence != NULL ? fence + page : NULL;
}

bool os_unmap_fenced(void *address, size_t size)
{
    size_t page = os_page_size();
    return os_unmap((char *)address - page, size + 2 * page);
}

bool os_close(void *address, size_t size)
{
    return protect(address, size, PROT_NONE);
}

bool os_take_away(void *address, size_t size)
{
    return map(address, size, PROT_NONE, MAP_NORESERVE | MAP_FIXED) == address;
}

bool os_freeze(void *address, size_t size)
{
    return protect(address, size, PROT_READ);
}

static bool advise(void *address, size_t size, int advice)
{
    return quiet_syscall(SYS_madvise, (long)address, (long)size, advice, 0, 0,
                         0) == 0;
}

bool os_purge(void *address, size_t size)
{
    return advise(address, size, MADV_DONTNEED);
}

bool os_unmap(void *address, size_t size)
{
    return quiet_syscall(SYS_munmap, (long)address, (long)size, 0, 0, 0, 0) ==
           0;
}

void *os_remap(void *address, size_t old_size, size_t new_size)
{
    long result = quiet_syscall(SYS_mremap, (long)address, (long)old_size,
                                (long)new_size, MREMAP_MAYMOVE, 0, 0);
    return is_error(result) ? NULL : (void *)result;
}

void *os_map_wiped_on_fork(size_t size)
{
    void *memory = os_map(size);
    if (memory != NULL && !advise(memory, size, MADV_WIPEONFORK)) {
        os_unmap(memory, size);
        return NULL;
    }
    return memory;
}

bool os_avoid_huge_pages(void *address, size_t size)
{
    return advise(address, size, MADV_NOHUGEPAGE);
}

bool os_welcome_huge_pages(void *address, size_t size)
{
    return advise(address, size, MADV_HUGEPAGE);
}

/* The kernel reads the word to compare it, and then wakes nobody and moves
 * nobody, whatever it is. No sandbox forbids this call, and valgrind has
 * nothing to say to it. */
bool os_can_read(const void *address)
{
    long result =
        quiet_syscall(SYS_futex, (long)address, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0,
                      (long)address, 0);
    return result == 0 || result == -EAGAIN;
}

static void (*fault_report)(const void *address);

/* A signal that somebody has sent does not come again by itself. */
static void handle_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    bool is_sent = info->si_code <= 0;
    if (!is_sent) {
        fault_report(info->si_addr);
    }
    sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (is_sent) {
        raise(number);
    }
    errno = saved;
}

static bool is_same_handler(const struct sigaction *one,
                            const struct sigaction *other)
{
    return one->sa_handler == other->sa_handler;
}

/* What came out when `ours` was put in is what the program has set just then,
 * in another thread: it is put back. What comes out now is ours; or else what
 * the program has set meanwhile, and is newer, and is put back too. */
static void put_back(const struct sigaction *ours, struct sigaction out)
{
    struct sigaction last = *ours;
    do {
        struct sigaction back = out;
        sigaction(SIGSEGV, &back, &out);
        if (is_same_handler(&out, &last)) {
            return;
        }
        last = back;
    } while (true);
}

void os_watch_faults(void (*report)(const void *address))
{
    const struct sigaction none = {.sa_handler = SIG_DFL};
    struct sigaction ours = {.sa_sigaction = handle_fault,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;
    int saved = errno;
    fault_report = report;
    if (sigaction(SIGSEGV, NULL, &now) == 0 && is_same_handler(&now, &none) &&
        sigaction(SIGSEGV, &ours, &now) == 0 && !is_same_handler(&now, &none)) {
        put_back(&ours, now);
    }
    errno = saved;
}

int os_open_file(const char *path)
{
    long file = quiet_syscall(SYS_openat, AT_FDCWD, (long)path,
                              O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
    return file < 0 ? -1 : (int)file;
}

size_t os_read_file(int file, char *bytes, size_t capacity)
{
    long got;
    do {
        got =
            quiet_syscall(SYS_read, file, (long)bytes, (long)capacity, 0, 0, 0);
    } while (got == -EINTR);
    return got < 0 ? 0 : (size_t)got;
}

void os_close_file(int file)
{
    quiet_syscall(SYS_close, file, 0, 0, 0, 0, 0);
}

bool os_program_path(char *path, size_t capacity)
{
    long length =
        quiet_syscall(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe",
                      (long)path, (long)capacity, 0, 0);
    if (length <= 0 || (size_t)length >= capacity) {
        return false;
    }
    path[length] = '\0';
    return true;
}

static unsigned affinity_count(void)
{
    unsigned long mask[CPU_MASK_WORDS];
    long bytes = quiet_syscall(SYS_sched_getaffinity, 0, sizeof mask,
                               (long)mask, 0, 0, 0);
    unsigned count = 0;
    for (long i = 0; i < bytes / (long)sizeof mask[0]; i++) {
        count += (unsigned)__builtin_popcountl(mask[i]);
    }
    return count;
}

static unsigned cpus_at_start;

void os_note_cpus(void)
{
    cpus_at_start = affinity_count();
}

unsigned os_affinity_count(void)
{
    return cpus_at_start > 0 ? cpus_at_start : affinity_count();
}

unsigned os_current_cpu(void)
{
    int saved = errno;
    int cpu = sched_getcpu();
    errno = saved;
    return cpu > 0 ? (unsigned)cpu : 0;
}

size_t os_address_space_limit(void)
{
    struct rlimit limit;
    if (quiet_syscall(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0) !=
        0) {
        return SIZE_MAX;
    }
    return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : limit.rlim_cur;
}

bool os_is_secure(void)
{
    int saved = errno;
    bool secure = getauxval(AT_SECURE) != 0;
    errno = saved;
    return secure;
}

/* The C library's own secrets are made of what the kernel drew at the start:
 * who has found those out is not to know ours. Early in the life of a machine
 * the kernel may have no more; that is not waited for. */
void os_random_bytes(uint64_t random[2])
{
    if (quiet_syscall(SYS_getrandom, (long)random, 2 * sizeof *random,
                      GRND_NONBLOCK, 0, 0, 0) == 2 * sizeof *random) {
        return;
    }
    int saved = errno;
    const void *bytes = (const void *)getauxval(AT_RANDOM);
    errno = saved;
    if (bytes != NULL) {
        memcpy(random, bytes, 2 * sizeof *random);
    } else {
        random[0] = (uintptr_t)&bytes;
        random[1] = (uintptr_t)random ^ (uintptr_t)os_random_bytes;
    }
}

uint32_t os_process(void)
{
    return (uint32_t)quiet_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

uint64_t os_milliseconds(void)
{
    struct timespec now = {0};
    int saved = errno;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    errno = saved;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void os_write_error(const char *text, size_t length)
{
    while (length > 0) {
        long written = quiet_syscall(SYS_write, STDERR_FILENO, (long)text,
                                     (long)length, 0, 0, 0);
        if (written > 0) {
            text += written;
            length -= (size_t)written;
        } else if (written != -EINTR) {
            return;
        }
    }
}

void os_wait(uint32_t *word, uint32_t expected)
{
    quiet_syscall(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, expected, 0, 0, 0);
}

void os_wait_for(uint32_t *word, uint32_t expected, uint64_t milliseconds)
{
    struct timespec time = {
        .tv_sec = (time_t)(milliseconds / 1000),
        .tv_nsec = (long)(milliseconds % 1000) * 1000000,
    };
    quiet_syscall(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, expected,
                  (long)&time, 0, 0);
}

void os_yield(void)
{
    quiet_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

uint32_t os_thread(void)
{
    return (uint32_t)quiet_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

bool os_thread_exists(uint32_t number)
{
    return quiet_syscall(SYS_tgkill, os_process(), number, 0, 0, 0, 0) == 0;
}

/* The folder of the threads has one link for each, and the two that all folders
 * have. */
bool os_is_alone(void)
{
    struct stat threads;
    return quiet_syscall(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task",
                         (long)&threads, 0, 0, 0) == 0 &&
           threads.st_nlink == 3;
}

/* The clock of a thread's processor time has its number in it, as the kernel
 * defines it for clock_gettime. */
uint64_t os_thread_time(uint32_t number)
{
    struct timespec time;
    long clock = (long)(int)(~number << 3 | THREAD_CLOCK);
    long result =
        quiet_syscall(SYS_clock_gettime, clock, (long)&time, 0, 0, 0, 0);
    return result == 0
               ? (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec
               : 0;
}

static bool membarrier(int command)
{
    return quiet_syscall(SYS_membarrier, command, 0, 0, 0, 0, 0) == 0;
}

/* A process has to say once that it will ask for this. */
bool os_barrier_everywhere(void)
{
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
           (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
            membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
}

void os_name_thread(const char *name)
{
    quiet_syscall(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0, 0);
}

void os_wake_one(uint32_t *word)
{
    quiet_syscall(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}
