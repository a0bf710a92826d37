/*
 * os.c - the door to the kernel.
 *
 * The memory calls are tried on the real kernel. For the limits on CPUs and
 * memory the program has its own syscall(), which can put other files in the
 * place of those in /proc and /sys, and another affinity mask in the place of
 * its own.
 */
#define _GNU_SOURCE
#include "os.h"

#include "unit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "actor.h"
#include "child.h"

/* ---- a kernel with other files ------------------------------------------ */

#define HUGE_PAGES_FILE "/sys/kernel/mm/transparent_hugepage/enabled"

struct fake_file {
    const char *path;
    const char *text;
};

static struct {
    const struct fake_file *files; /* NULL: the real ones */
    unsigned cpus;
    unsigned interruptions; /* that writes will meet */
    bool has_no_random;     /* bytes to give, or not yet */
    bool protects_nothing;  /* as when there are too many mappings */
} fake;

static long (*real_syscall)(long number, ...);

/* The symbol that os_linux.c's calls bind to. */
long syscall(long number, ...);

static long open_fake(const char *path)
{
    for (const struct fake_file *file = fake.files; file->path; file++) {
        if (strcmp(file->path, path) == 0) {
            int copy = memfd_create("fake", MFD_CLOEXEC);
            size_t length = strlen(file->text);
            MUST(write(copy, file->text, length) == (ssize_t)length);
            MUST(lseek(copy, 0, SEEK_SET) == 0);
            return copy;
        }
    }
    errno = ENOENT;
    return -1;
}

static long fake_affinity(size_t bytes, unsigned long *mask)
{
    memset(mask, 0, bytes);
    for (unsigned cpu = 0; cpu < fake.cpus; cpu++) {
        mask[cpu / 64] |= 1ul << cpu % 64;
    }
    return (long)bytes;
}

/* Every other one writes a few bytes first. */
static long write_interrupted(const long a[6])
{
    if (fake.interruptions-- % 2 == 0) {
        return real_syscall(SYS_write, a[0], a[1], 5L, 0L, 0L, 0L);
    }
    errno = EINTR;
    return -1;
}

long syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    if (fake.files != NULL && number == SYS_openat) {
        return open_fake((const char *)a[1]);
    }
    if (fake.files != NULL && number == SYS_sched_getaffinity) {
        return fake_affinity((size_t)a[1], (unsigned long *)a[2]);
    }
    if (fake.interruptions > 0 && number == SYS_write) {
        return write_interrupted(a);
    }
    if ((number == SYS_getrandom && fake.has_no_random) ||
        (number == SYS_mprotect && fake.protects_nothing)) {
        errno = number == SYS_getrandom ? EAGAIN : ENOMEM;
        return -1;
    }
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- memory ------------------------------------------------------------- */

static size_t page;

/* Whether the kernel can read there: a pipe takes the byte, or EFAULT. */
static bool is_readable(const void *address)
{
    int ends[2];
    MUST(pipe(ends) == 0);
    bool readable = write(ends[1], address, 1) == 1;
    MUST(readable || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    return readable;
}

/* Whether it can write there, which it does: a zero. */
static bool is_writable(void *address)
{
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    MUST(zero >= 0);
    bool writable = read(zero, address, 1) == 1;
    MUST(writable || errno == EFAULT);
    close(zero);
    return writable;
}

static bool is_zero(const void *memory, size_t size)
{
    const char *bytes = memory;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void the_page_size_is_the_kernels(void **state)
{
    (void)state;
    assert_int_equal(os_page_size(), sysconf(_SC_PAGESIZE));
    assert_int_equal(os_page_size(), page);
}

static void reserved_memory_is_zero_and_cannot_be_written(void **state)
{
    (void)state;
    char *memory = os_reserve(4 * page);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % page, 0);
    assert_true(is_zero(memory, 4 * page));
    assert_false(is_writable(memory));
    assert_false(is_writable(memory + 4 * page - 1));
    assert_true(os_unmap(memory, 4 * page));
    assert_false(is_readable(memory));
}

static void committed_memory_is_zero_and_no_more_than_asked(void **state)
{
    (void)state;
    char *memory = os_reserve(4 * page);
    assert_true(os_commit(memory + page, 2 * page));
    assert_false(is_writable(memory + page - 1));
    assert_true(is_zero(memory + page, 2 * page));
    assert_false(is_writable(memory + 3 * page));
    memset(memory + page, 1, 2 * page);
    assert_true(os_unmap(memory, 4 * page));
}

static void decommitted_memory_comes_back_zero(void **state)
{
    (void)state;
    char *memory = os_reserve(3 * page);
    assert_true(os_commit(memory, 3 * page));
    memset(memory, 1, 3 * page);
    assert_true(os_decommit(memory + page, 2 * page));
    assert_int_equal(memory[page - 1], 1);
    assert_false(is_writable(memory + page));
    assert_false(is_writable(memory + 3 * page - 1));
    assert_true(is_zero(memory + page, 2 * page));
    /* It is reserved still: nobody else can have it. */
    assert_false(os_reserve_at(memory + page, page));
    assert_true(os_commit(memory + page, 2 * page));
    assert_true(is_zero(memory + page, 2 * page));
    memset(memory + page, 1, 2 * page);
    assert_true(os_unmap(memory, 3 * page));
}

static void purged_memory_is_zero_and_stays(void **state)
{
    (void)state;
    char *memory = os_map(3 * page);
    assert_non_null(memory);
    assert_true(is_zero(memory, 3 * page));
    memset(memory, 1, 3 * page);
    assert_true(os_purge(memory + page, page));
    assert_int_equal(memory[page - 1], 1);
    assert_true(is_zero(memory + page, page));
    assert_int_equal(memory[2 * page], 1);
    assert_true(os_unmap(memory, 3 * page));
}

static void a_place_is_given_once(void **state)
{
    (void)state;
    char *memory = os_reserve(4 * page);
    assert_false(os_reserve_at(memory, page));
    assert_false(os_reserve_at(memory + 3 * page, 2 * page));
    assert_true(os_unmap(memory + page, 2 * page));
    assert_false(os_reserve_at(memory + page, 3 * page));
    assert_true(os_reserve_at(memory + page, 2 * page));
    assert_true(is_zero(memory + page, 2 * page));
    assert_false(is_writable(memory + page));
    assert_true(os_unmap(memory, 4 * page));
}

static void a_remapped_block_brings_its_contents(void **state)
{
    (void)state;
    /* What lies behind is taken, so it cannot grow where it is. */
    char *memory = os_map(4 * page);
    assert_true(os_unmap(memory + page, page));
    assert_true(os_reserve_at(memory + page, page));
    memset(memory, 7, page);
    char *moved = os_remap(memory, page, 3 * page);
    assert_non_null(moved);
    assert_ptr_not_equal(moved, memory);
    assert_int_equal(moved[0], 7);
    assert_int_equal(moved[page - 1], 7);
    assert_true(is_zero(moved + page, 2 * page));
    assert_false(is_readable(memory));
    assert_ptr_equal(os_remap(moved, 3 * page, page), moved);
    assert_false(is_readable(moved + page));
    assert_true(os_unmap(moved, page));
    assert_true(os_unmap(memory + page, 3 * page));
}

static void a_fence_stands_on_both_sides(void **state)
{
    (void)state;
    char *memory = os_map_fenced(2 * page);
    assert_non_null(memory);
    assert_true(is_zero(memory, 2 * page));
    assert_true(is_writable(memory) && is_writable(memory + 2 * page - 1));
    assert_false(is_readable(memory - 1) || is_readable(memory + 2 * page));
    assert_true(os_unmap_fenced(memory, 2 * page));
    assert_false(is_readable(memory - 1) || is_readable(memory) ||
                 is_readable(memory + 2 * page));
}

static void a_fence_that_is_refused_leaves_nothing(void **state)
{
    (void)state;
    char *memory = os_map_fenced(page);
    assert_true(os_unmap_fenced(memory, page));
    fake.protects_nothing = true;
    errno = 77;
    assert_null(os_map_fenced(page));
    assert_int_equal(errno, 77);
    fake.protects_nothing = false;
    assert_false(is_readable(memory));
}

static void closed_memory_opens_again_as_it_was(void **state)
{
    (void)state;
    char *memory = os_map(page);
    *memory = 5;
    assert_true(os_close(memory, page));
    assert_false(is_readable(memory));
    assert_true(os_commit(memory, page));
    assert_int_equal(*memory, 5);
    assert_true(os_freeze(memory, page));
    assert_true(is_readable(memory) && !is_writable(memory));
    fake.protects_nothing = true;
    assert_false(os_close(memory, page) || os_freeze(memory, page));
    fake.protects_nothing = false;
    assert_true(os_unmap(memory, page));
}

static void what_is_taken_away_is_closed_and_comes_back_zero(void **state)
{
    (void)state;
    char *memory = os_map(3 * page);
    memset(memory, 1, 3 * page);
    assert_true(os_take_away(memory + page, page));
    assert_int_equal(memory[page - 1], 1);
    assert_int_equal(memory[2 * page], 1);
    assert_false(is_readable(memory + page));
    assert_false(os_reserve_at(memory + page, page));
    assert_true(os_commit(memory + page, page));
    assert_true(is_zero(memory + page, page) && is_writable(memory + page));
    assert_false(os_take_away(memory + 1, page));
    assert_true(os_unmap(memory, 3 * page));
}

/* Whatever is written there, and without a change of anything. */
static void words_that_may_be_read_are_told(void **state)
{
    (void)state;
    char *memory = os_map(2 * page);
    char *last = memory + page - sizeof(uint64_t);
    sigset_t before = {0}, after = {0};
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &before), 0);
    assert_true(os_close(memory + page, page));
    errno = 77;
    for (int byte = 0; byte < 256; byte += 255) {
        memset(memory, byte, page);
        assert_true(os_can_read(memory) && os_can_read(last));
    }
    assert_true(os_freeze(memory, page));
    assert_true(os_can_read(memory) && os_can_read(last));
    assert_false(os_can_read(memory + page));
    assert_false(os_can_read(NULL));
    assert_true(os_unmap(memory, 2 * page));
    assert_false(os_can_read(memory));
    assert_false(os_can_read((void *)((uintptr_t)1 << 63)));
    assert_int_equal(errno, 77);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &after), 0);
    assert_memory_equal(&before, &after, sizeof before);
}

static void refusals_leave_errno_alone(void **state)
{
    const size_t huge = (size_t)1 << 62;
    (void)state;
    char *memory = os_map(page);
    errno = 77;
    assert_null(os_reserve(huge));
    assert_null(os_map(huge));
    assert_null(os_remap(memory, page, huge));
    assert_false(os_reserve_at(memory, page));
    assert_false(os_unmap(memory + 1, page));
    assert_false(os_decommit(memory + 1, page));
    assert_false(os_purge(memory + 1, page));
    assert_false(os_commit((void *)(huge), page));
    assert_null(os_map_wiped_on_fork(huge));
    os_cpu_limit();
    os_address_space_limit();
    os_is_secure();
    assert_int_equal(errno, 77);
    memory[0] = 1;
    assert_true(os_unmap(memory, page));
}

static void the_child_reads_zero(void *word)
{
    MUST(*(uint32_t *)word == 0);
}

static void fork_wipes_what_was_mapped_for_it(void **state)
{
    (void)state;
    uint32_t *word = os_map_wiped_on_fork(page);
    if (word == NULL) {
        print_message("this kernel has no MADV_WIPEONFORK\n");
        skip();
    }
    assert_int_equal(*word, 0);
    *word = 5;
    child_must_succeed(the_child_reads_zero, word);
    assert_int_equal(*word, 5);
    assert_true(os_unmap(word, page));
}

/* ---- a program that sets handlers --------------------------------------- */

enum { CALLS = 4 };

static struct {
    unsigned calls;
    void (*handlers[CALLS])(int); /* set by it before that call of ours */
} program;

int __real_sigaction(int number, const struct sigaction *wanted,
                     struct sigaction *before);
int __wrap_sigaction(int number, const struct sigaction *wanted,
                     struct sigaction *before);

int __wrap_sigaction(int number, const struct sigaction *wanted,
                     struct sigaction *before)
{
    unsigned call = program.calls++;
    if (call < CALLS && program.handlers[call] != NULL) {
        struct sigaction own = {.sa_handler = program.handlers[call]};
        MUST(__real_sigaction(number, &own, NULL) == 0);
    }
    return __real_sigaction(number, wanted, before);
}

static void ignore_report(const void *address)
{
    (void)address;
}

static void first_handler(int number)
{
    _exit(number);
}

static void second_handler(int number)
{
    _exit(number + 1);
}

static void third_handler(int number)
{
    _exit(number + 2);
}

static void a_handler_that_the_program_sets_meanwhile_stays(void *unused)
{
    static const struct {
        void (*handlers[CALLS])(int);
        void (*last)(int); /* NULL: ours */
    } cases[] = {
        {{NULL}, NULL},
        {{first_handler}, first_handler},
        {{NULL, first_handler}, first_handler},
        {{NULL, first_handler, second_handler}, second_handler},
        {{NULL, first_handler, second_handler, third_handler}, third_handler},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sigaction now = {.sa_handler = SIG_DFL};
        MUST(__real_sigaction(SIGSEGV, &now, NULL) == 0);
        program.calls = 0;
        memcpy(program.handlers, cases[i].handlers, sizeof program.handlers);
        os_watch_faults(ignore_report);
        MUST(__real_sigaction(SIGSEGV, NULL, &now) == 0);
        MUST(cases[i].last != NULL ? now.sa_handler == cases[i].last
                                   : (now.sa_flags & SA_SIGINFO) != 0);
    }
}

/* ---- other threads ------------------------------------------------------- */

static void who_is_alone_is_told(void *unused)
{
    struct actor actor;
    (void)unused;
    MUST(os_is_alone());
    actor_start(&actor);
    MUST(!os_is_alone());
    actor_end(&actor);
    while (!os_is_alone()) {
        sched_yield();
    }
}

/* ---- limits ------------------------------------------------------------- */

static void must_have_1_cpu(void *unused)
{
    cpu_set_t mine, one;
    int cpu = 0;
    (void)unused;
    MUST(sched_getaffinity(0, sizeof mine, &mine) == 0);
    while (!CPU_ISSET(cpu, &mine)) {
        cpu++;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    MUST(sched_setaffinity(0, sizeof one, &one) == 0);
    MUST(os_cpu_limit() == 1);
    MUST(os_current_cpu() == (unsigned)cpu);
}

static void must_have_all_cpus(void *count)
{
    cpu_set_t one;
    os_note_cpus();
    CPU_ZERO(&one);
    CPU_SET(os_current_cpu(), &one);
    MUST(sched_setaffinity(0, sizeof one, &one) == 0);
    MUST(os_cpu_limit() == *(unsigned *)count);
}

static void
a_thread_that_is_pinned_still_has_the_cpus_of_its_process(void **state)
{
    (void)state;
    unsigned count = os_cpu_limit();
    child_must_succeed(must_have_all_cpus, &count);
}

static void cpus_are_limited_by_the_affinity_mask(void **state)
{
    cpu_set_t mine;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    assert_in_range(os_cpu_limit(), 1, (unsigned)CPU_COUNT(&mine));
    child_must_succeed(must_have_1_cpu, NULL);
}

/* One hierarchy each; 16 CPUs would be there. */
static void cpus_are_limited_by_the_quota_of_the_cgroup(void **state)
{
    static const struct {
        unsigned limit;
        struct fake_file files[8];
    } cases[] = {
        /* Nothing to read, and nothing readable. */
        {16, {{"", ""}}},
        {16, {{"/proc/self/cgroup", ""}}},
        {16, {{"/proc/self/cgroup", "no line\n:\n::\n0:\n:::::\n\n"}}},
        {16, {{"/proc/self/cgroup", "0::/a\n"}}},
        /* v2. */
        {16,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/cpu.max", "max 100000\n"}}},
        {2,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/cpu.max", "200000 100000\n"}}},
        {3,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/cpu.max", "200001 100000\n"}}},
        {1,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/cpu.max", "1000 100000\n"}}},
        {16,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/cpu.max", "1700000 100000\n"}}},
        {16,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/cpu.max", "200000 0\n"}}},
        {16,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/cpu.max", "200000\n"}}},
        {16,
         {{"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/b/cpu.max", "100000 100000\n"}}},
        /* The least on the way up counts. */
        {4,
         {{"/proc/self/cgroup", "0::/a/b/c\n"},
          {"/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n"},
          {"/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"},
          {"/sys/fs/cgroup/a/cpu.max", "800000 100000\n"}}},
        {5,
         {{"/proc/self/cgroup", "0::/a/b/c\n"},
          {"/sys/fs/cgroup/a/cpu.max", "500000 100000\n"}}},
        /* In a container: its own root is all that can be seen. */
        {6,
         {{"/proc/self/cgroup", "0::/docker/0123\n"},
          {"/sys/fs/cgroup/cpu.max", "600000 100000\n"}}},
        {7,
         {{"/proc/self/cgroup", "0::/\n"},
          {"/sys/fs/cgroup/cpu.max", "700000 100000\n"}}},
        /* v1. */
        {2,
         {{"/proc/self/cgroup", "9:memory:/m\n4:cpu,cpuacct:/x/y\n0::/\n"},
          {"/sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us", "150000\n"},
          {"/sys/fs/cgroup/cpu/x/y/cpu.cfs_period_us", "100000\n"}}},
        {3,
         {{"/proc/self/cgroup", "4:cpuacct,cpu:/x/y\n"},
          {"/sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us", "-1\n"},
          {"/sys/fs/cgroup/cpu/x/y/cpu.cfs_period_us", "100000\n"},
          {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "150000\n"},
          {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "50000\n"}}},
        {16,
         {{"/proc/self/cgroup", "4:cpuset:/x\n5:cpuacct:/x\n6:name=cpu:/x\n"},
          {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n"},
          {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"}}},
        {16,
         {{"/proc/self/cgroup", "4:cpu:/x\n"},
          {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n"}}},
        /* Both at once. */
        {2,
         {{"/proc/self/cgroup", "4:cpu:/x\n0::/a\n"},
          {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "300000\n"},
          {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"},
          {"/sys/fs/cgroup/a/cpu.max", "200000 100000\n"}}},
    };
    (void)state;
    fake.cpus = 16;
    for (size_t i = 0; i < count_of(cases); i++) {
        fake.files = cases[i].files;
        errno = 77;
        unsigned limit = os_cpu_limit();
        fake.files = NULL;
        if (limit != cases[i].limit) {
            print_error("case %zu\n", i);
        }
        assert_int_equal(limit, cases[i].limit);
        assert_int_equal(errno, 77);
    }
}

/* Of several limits the one that leaves the least room. */
static void memory_is_limited_by_the_cgroup(void **state)
{
#define CGROUP_B                                                               \
    {                                                                          \
        "/proc/self/cgroup", "0::/a/b\n"                                       \
    }
#define IN_A(file, text)                                                       \
    {                                                                          \
        "/sys/fs/cgroup/a/memory." file, text                                  \
    }
#define IN_B(file, text)                                                       \
    {                                                                          \
        "/sys/fs/cgroup/a/b/memory." file, text                                \
    }
#define IN_V1(file, text)                                                      \
    {                                                                          \
        "/sys/fs/cgroup/memory/x/memory." file, text                           \
    }
    static const struct {
        size_t limit, room;
        struct fake_file files[12];
    } cases[] = {
        /* Nothing to read, and nothing readable. */
        {SIZE_MAX, SIZE_MAX, {{"", ""}}},
        {SIZE_MAX, SIZE_MAX, {CGROUP_B}},
        {SIZE_MAX, SIZE_MAX, {CGROUP_B, IN_B("max", "max\n")}},
        {SIZE_MAX,
         SIZE_MAX,
         {CGROUP_B, IN_B("max", "\n"), IN_B("high", "-5\n"), IN_A("max", "x1"),
          IN_A("current", "4\n"), IN_B("current", "4\n")}},
        {SIZE_MAX, SIZE_MAX, {CGROUP_B, IN_B("max", "1000\n")}},
        {SIZE_MAX,
         SIZE_MAX,
         {CGROUP_B, IN_B("max", "1000\n"), IN_B("current", "max\n")}},
        /* v2: the lower of the two. */
        {1000,
         900,
         {CGROUP_B, IN_B("max", "1000\n"), IN_B("current", "100\n")}},
        {700,
         600,
         {CGROUP_B, IN_B("max", "1000\n"), IN_B("high", "700\n"),
          IN_B("current", "100\n")}},
        {800,
         700,
         {CGROUP_B, IN_B("max", "800\n"), IN_B("high", "max\n"),
          IN_B("current", "100\n")}},
        /* What is over, or full. */
        {1000, 0, {CGROUP_B, IN_B("max", "1000\n"), IN_B("current", "1000\n")}},
        {1000, 0, {CGROUP_B, IN_B("max", "1000\n"), IN_B("current", "2000\n")}},
        {0, 0, {CGROUP_B, IN_B("max", "0\n"), IN_B("current", "0\n")}},
        /* What is cached of files does not count. */
        {1000,
         750,
         {CGROUP_B, IN_B("max", "1000\n"), IN_B("current", "500\n"),
          IN_B("stat", "anon 200\ninactive_file 100\nxactive_file 7\n"
                       "active_file 150\nactive_file_x 9\n")}},
        {1000,
         1000,
         {CGROUP_B, IN_B("max", "1000\n"), IN_B("current", "500\n"),
          IN_B("stat", "inactive_file 501\n")}},
        {1000,
         500,
         {CGROUP_B, IN_B("max", "1000\n"), IN_B("current", "500\n"),
          IN_B("stat", "inactive_file\nactive_file x\nanon 1")}},
        /* Numbers that are too large. */
        {SIZE_MAX,
         SIZE_MAX,
         {CGROUP_B, IN_B("max", "99999999999999999999999\n"),
          IN_B("current", "1\n")}},
        {1000,
         0,
         {CGROUP_B, IN_B("max", "1000\n"),
          IN_B("current", "18446744073709551616\n")}},
        /* On the way up, and in a container. */
        {2000,
         100,
         {CGROUP_B, IN_A("max", "2000\n"), IN_A("current", "1900\n"),
          IN_B("max", "1000\n"), IN_B("current", "100\n")}},
        {50,
         40,
         {{"/proc/self/cgroup", "0::/docker/0123\n"},
          {"/sys/fs/cgroup/memory.max", "50\n"},
          {"/sys/fs/cgroup/memory.current", "10\n"}}},
        /* v1. */
        {3000,
         2500,
         {{"/proc/self/cgroup", "4:cpu,memory:/x\n"},
          IN_V1("limit_in_bytes", "3000\n"),
          IN_V1("usage_in_bytes", "900\n"),
          IN_V1("stat", "inactive_file 5\nactive_file 5\n"
                        "total_inactive_file 300\ntotal_active_file 100\n")}},
        {SIZE_MAX,
         SIZE_MAX,
         {{"/proc/self/cgroup", "4:memory:/x\n"},
          IN_V1("limit_in_bytes", "9223372036854771712\n"),
          IN_V1("usage_in_bytes", "900\n")}},
        {SIZE_MAX,
         SIZE_MAX,
         {{"/proc/self/cgroup", "4:memor,memoryy:/x\n"},
          IN_V1("limit_in_bytes", "3000\n"),
          IN_V1("usage_in_bytes", "900\n")}},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        fake.files = cases[i].files;
        errno = 77;
        struct os_memory memory = os_cgroup_memory();
        fake.files = NULL;
        if (memory.limit != cases[i].limit || memory.room != cases[i].room) {
            print_error("case %zu: %zu, %zu\n", i, memory.limit, memory.room);
        }
        assert_int_equal(memory.limit, cases[i].limit);
        assert_int_equal(memory.room, cases[i].room);
        assert_int_equal(errno, 77);
    }
}

static void paths_of_cgroups_may_be_long(void **state)
{
    static char line[1200] = "0::/";
    const struct fake_file files[] = {{"/proc/self/cgroup", line}, {0}};
    (void)state;
    memset(line + 4, 'x', sizeof line - 6);
    line[sizeof line - 2] = '\n';
    for (size_t length = sizeof line - 2; length > 400; length--) {
        line[length] = '\n';
        line[length + 1] = '\0';
        fake.files = files;
        struct os_memory memory = os_cgroup_memory();
        fake.files = NULL;
        assert_int_equal(memory.room, SIZE_MAX);
    }
}

static void *ask_for_nothing(void *unused)
{
    return unused;
}

static void *ask_for_limits(void *unused)
{
    os_cgroup_memory();
    os_cpu_limit();
    os_own_memory();
    return unused;
}

/* How much of its stack a thread writes to that does this. */
static size_t stack_needed_by(void *(*body)(void *unused))
{
    enum { STACK = 256 << 10 };
    size_t untouched = 0;
    pthread_attr_t attributes;
    pthread_t thread;
    char *stack = os_map(STACK);
    assert_non_null(stack);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK), 0);
    assert_int_equal(pthread_create(&thread, &attributes, body, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    while (untouched < STACK && stack[untouched] == 0) {
        untouched++;
    }
    assert_true(os_unmap(stack, STACK));
    return STACK - untouched;
}

/* Any thread may be the one that has to ask, in whatever call of malloc: also
 * one with the least stack that there is, or a coroutine. The first time, what
 * is called is looked up by the loader. */
static void limits_are_asked_for_with_little_stack(void **state)
{
    enum { LITTLE = 4096 };
    static const struct fake_file files[] = {
        CGROUP_B,
        IN_B("max", "1000\n"),
        IN_B("current", "500\n"),
        IN_B("stat", "anon 200\ninactive_file 100\nactive_file 150\n"),
        {"/sys/fs/cgroup/a/b/cpu.max", "200000 100000\n"},
        {0},
    };
    (void)state;
    if (UNIT_UNDER_TSAN) {
        skip();
    }
    fake.files = files;
    stack_needed_by(ask_for_limits);
    size_t needed = stack_needed_by(ask_for_limits);
    fake.files = NULL;
    assert_in_range(needed - stack_needed_by(ask_for_nothing), 1, LITTLE);
}

static void own_memory_is_that_of_no_file(void **state)
{
    const struct {
        size_t pages;
        struct fake_file files[2];
    } cases[] = {
        {70, {{"/proc/self/statm", "900 100 30 1 0 90 0\n"}}},
        {0, {{"/proc/self/statm", "900 100 100 1 0 90 0\n"}}},
        {0, {{"/proc/self/statm", "900 100 101 1 0 90 0\n"}}},
        {0, {{"/proc/self/statm", "900 100"}}},
        {0, {{"/proc/self/statm", ""}}},
        {0, {{"", ""}}},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        fake.files = cases[i].files;
        size_t bytes = os_own_memory();
        fake.files = NULL;
        assert_int_equal(bytes, cases[i].pages * page);
    }
    enum { MORE = 8 << 20 };
    size_t before = os_own_memory();
    char *memory = os_map(MORE);
    assert_non_null(memory);
    memset(memory, 1, MORE);
    /* The sanitizer's own for these bytes is as much several times. */
    size_t most = UNIT_UNDER_TSAN ? 8 * MORE : 2 * MORE;
    assert_in_range(os_own_memory(), before + MORE / 2, before + most);
    assert_true(os_unmap(memory, MORE));
}

static void many_cpus_are_counted(void **state)
{
    const struct fake_file none = {NULL, NULL};
    static const unsigned counts[] = {0, 1, 63, 64, 65, 8192};
    (void)state;
    for (size_t i = 0; i < count_of(counts); i++) {
        fake.files = &none;
        fake.cpus = counts[i];
        unsigned limit = os_cpu_limit();
        fake.files = NULL;
        assert_int_equal(limit, counts[i] == 0 ? 1 : counts[i]);
    }
}

/* A path that fits nowhere says nothing; the lines behind it do. */
static void a_path_without_end_is_passed_over(void **state)
{
    static char text[2048];
    (void)state;
    memset(text, 'x', 1500);
    memcpy(text, "0::/", 4);
    strcpy(text + 1500, "\n4:cpu:/x\n");
    const struct fake_file files[] = {
        {"/proc/self/cgroup", text},
        {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "300000\n"},
        {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"},
        {NULL, NULL},
    };
    fake.files = files;
    fake.cpus = 16;
    unsigned limit = os_cpu_limit();
    fake.files = NULL;
    assert_int_equal(limit, 3);
}

static void must_find_the_limit_it_sets(void *unused)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)7 << 40};
    (void)unused;
    limit.rlim_max = limit.rlim_cur;
    MUST(os_address_space_limit() == SIZE_MAX);
    MUST(setrlimit(RLIMIT_AS, &limit) == 0);
    MUST(os_address_space_limit() == (size_t)7 << 40);
}

static void address_space_is_limited_by_rlimit_as(void **state)
{
    struct rlimit now;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_AS, &now), 0);
    if (now.rlim_cur != RLIM_INFINITY || UNIT_UNDER_TSAN) {
        print_message("the program itself runs under such a limit, or needs "
                      "more than one\n");
        skip();
    }
    child_must_succeed(must_find_the_limit_it_sets, NULL);
}

/* Sixteen bytes, the same ones for the life of the process. */
static void random_bytes_are_the_kernels(void **state)
{
    uint64_t first[2] = {0, 0}, second[2] = {0, 0};
    (void)state;
    errno = 77;
    os_random_bytes(first);
    os_random_bytes(second);
    assert_int_equal(errno, 77);
    assert_memory_not_equal(first, second, sizeof first);
    assert_memory_not_equal(first, (const void *)getauxval(AT_RANDOM), 16);
    assert_true(first[0] != 0 && first[1] != 0 && first[0] != first[1]);
}

static void without_them_those_of_the_start_will_do(void **state)
{
    uint64_t random[2] = {0, 0};
    (void)state;
    fake.has_no_random = true;
    errno = 77;
    os_random_bytes(random);
    fake.has_no_random = false;
    assert_int_equal(errno, 77);
    assert_memory_equal(random, (const void *)getauxval(AT_RANDOM), 16);
}

/* ---- words and waiting -------------------------------------------------- */

static void write_words(void *unused)
{
    (void)unused;
    errno = 77;
    os_write_error("one ", 4);
    os_write_error("two\nthree", 4);
    os_write_error("three", 0);
    close(STDERR_FILENO);
    os_write_error("four", 4);
    MUST(errno == 77);
}

static void words_go_to_standard_error(void **state)
{
    (void)state;
    struct ending ending = child_run(write_words, NULL);
    assert_int_equal(ending.status, 0);
    assert_string_equal(ending.words, "one two\n");
}

static void write_and_be_interrupted(void *unused)
{
    (void)unused;
    fake.interruptions = 3;
    os_write_error("first word, second word\n", 24);
    MUST(fake.interruptions == 0);
}

/* A write may be broken off, and may write a part. */
static void words_are_written_in_spite_of_signals(void **state)
{
    (void)state;
    struct ending ending = child_run(write_and_be_interrupted, NULL);
    assert_int_equal(ending.status, 0);
    assert_string_equal(ending.words, "first word, second word\n");
}

static void wait_while_5(void *argument)
{
    uint32_t *word = argument;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 5) {
        os_wait(word, 5);
    }
}

/* Nobody writes into the pipe. */
static void a_pipe_for_a_file_is_not_waited_for(void **state)
{
    char folder[] = "/tmp/ptm-os-XXXXXX";
    char path[sizeof folder + 8];
    char byte;
    (void)state;
    MUST(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/pipe", folder);
    MUST(mkfifo(path, 0600) == 0);
    int file = os_open_file(path);
    assert_true(file >= 0);
    assert_int_equal(os_read_file(file, &byte, 1), 0);
    os_close_file(file);
    MUST(unlink(path) == 0 && rmdir(folder) == 0);
}

static void a_sleeper_is_woken(void **state)
{
    uint32_t word = 5;
    struct actor sleeper;
    (void)state;
    os_wait(&word, 4); /* returns at once: the word is not 4 */
    actor_start(&sleeper);
    actor_begin(&sleeper, wait_while_5, &word);
    actor_await_sleep(&sleeper);
    __atomic_store_n(&word, 6, __ATOMIC_RELEASE);
    os_wake_one(&word);
    actor_finish(&sleeper);
    actor_end(&sleeper);
}

/* Only where the one word that counts is in brackets. */
static void huge_pages_are_by_advice_where_the_system_says_so(void **state)
{
    static const struct {
        bool are;
        struct fake_file files[2];
    } cases[] = {
        {false, {{"", ""}}},
        {false, {{HUGE_PAGES_FILE, ""}}},
        {false, {{HUGE_PAGES_FILE, "[always] madvise never\n"}}},
        {true, {{HUGE_PAGES_FILE, "always [madvise] never\n"}}},
        {false, {{HUGE_PAGES_FILE, "always madvise [never]\n"}}},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        fake.files = cases[i].files;
        errno = 77;
        os_note_huge_pages();
        fake.files = NULL;
        assert_int_equal(os_huge_pages_are_by_advice(), cases[i].are);
        assert_int_equal(errno, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_size_is_the_kernels),
        cmocka_unit_test(reserved_memory_is_zero_and_cannot_be_written),
        cmocka_unit_test(committed_memory_is_zero_and_no_more_than_asked),
        cmocka_unit_test(decommitted_memory_comes_back_zero),
        cmocka_unit_test(purged_memory_is_zero_and_stays),
        cmocka_unit_test(a_place_is_given_once),
        cmocka_unit_test(a_remapped_block_brings_its_contents),
        cmocka_unit_test(a_fence_stands_on_both_sides),
        cmocka_unit_test(a_fence_that_is_refused_leaves_nothing),
        cmocka_unit_test(closed_memory_opens_again_as_it_was),
        cmocka_unit_test(what_is_taken_away_is_closed_and_comes_back_zero),
        cmocka_unit_test(words_that_may_be_read_are_told),
        cmocka_unit_test(refusals_leave_errno_alone),
        cmocka_unit_test(fork_wipes_what_was_mapped_for_it),
        cmocka_unit_test(cpus_are_limited_by_the_affinity_mask),
        cmocka_unit_test(
            a_thread_that_is_pinned_still_has_the_cpus_of_its_process),
        cmocka_unit_test(cpus_are_limited_by_the_quota_of_the_cgroup),
        cmocka_unit_test(many_cpus_are_counted),
        cmocka_unit_test(memory_is_limited_by_the_cgroup),
        cmocka_unit_test(huge_pages_are_by_advice_where_the_system_says_so),
        cmocka_unit_test(paths_of_cgroups_may_be_long),
        cmocka_unit_test(limits_are_asked_for_with_little_stack),
        cmocka_unit_test(own_memory_is_that_of_no_file),
        cmocka_unit_test(a_path_without_end_is_passed_over),
        cmocka_unit_test(address_space_is_limited_by_rlimit_as),
        cmocka_unit_test(random_bytes_are_the_kernels),
        cmocka_unit_test(without_them_those_of_the_start_will_do),
        cmocka_unit_test(words_go_to_standard_error),
        cmocka_unit_test(words_are_written_in_spite_of_signals),
        cmocka_unit_test(a_pipe_for_a_file_is_not_waited_for),
        cmocka_unit_test(a_sleeper_is_woken),
        unit_test_in_child(a_handler_that_the_program_sets_meanwhile_stays),
        unit_test_in_child(who_is_alone_is_told),
    };
    *(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
    page = (size_t)getpagesize();
    return UNIT_RUN(tests);
}
