/*
 * The interposed syscall(): see faulty_syscall.h.
 *
 * It runs below malloc, in any thread, possibly in a signal handler and before
 * the first constructor, so it uses atomics and the stack and nothing else.
 */
#include "faulty_syscall.h"

#include "rng.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

/* The symbol that the allocator's calls bind to. */
long syscall(long number, ...);

static _Atomic(const struct faulty_plan *) plan_in_use;
static atomic_ulong calls_counted;
static atomic_ulong calls_refused;
static atomic_uint threads_held;
static atomic_ulong releases;
static __thread bool this_thread_is_marked;
static __thread unsigned hold_milliseconds; /* of the next call; 0: none */

/* Returns what the kernel returns: -errno on failure. */
static long kernel_call(long number, const long a[6])
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a[0];
    register long x1 __asm__("x1") = a[1];
    register long x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3];
    register long x4 __asm__("x4") = a[4];
    register long x5 __asm__("x5") = a[5];

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
#error "faulty_syscall.c knows x86-64 and aarch64"
#endif
}

static unsigned kind_of(long number)
{
    switch (number) {
    case SYS_mmap:
        return FAULTY_MMAP;
    case SYS_munmap:
        return FAULTY_MUNMAP;
    case SYS_mprotect:
        return FAULTY_MPROTECT;
    case SYS_madvise:
        return FAULTY_MADVISE;
    case SYS_mremap:
        return FAULTY_MREMAP;
    case SYS_membarrier:
        return FAULTY_MEMBARRIER;
    default:
        return 0;
    }
}

/* For mremap the new length counts: that is what is asked for. */
static size_t length_of(unsigned kind, const long a[6])
{
    return (size_t)(kind == FAULTY_MREMAP ? a[2] : a[1]);
}

static bool passes_filter(const struct faulty_plan *plan, unsigned kind,
                          const long a[6])
{
    uintptr_t address = (uintptr_t)a[0];

    if (!(plan->kinds & kind))
        return false;
    if (plan->marked_threads_only && !this_thread_is_marked)
        return false;
    if (length_of(kind, a) < plan->at_least)
        return false;
    if (plan->reservations_only &&
        (kind != FAULTY_MMAP || ((int)a[2] & PROT_WRITE) != 0))
        return false;
    return plan->high == 0 || (address >= plan->low && address < plan->high);
}

static bool is_chosen(const struct faulty_plan *plan, unsigned long ordinal)
{
    if (plan->first != 0 && ordinal >= plan->first &&
        ordinal - plan->first < plan->how_many)
        return true;
    return plan->one_in != 0 &&
           rng_mix(plan->seed + ordinal * 0x9e3779b97f4a7c15u) % plan->one_in ==
               0;
}

static void wait_for_release(void)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    const long arguments[6] = {(long)(intptr_t)&nap};
    unsigned long releases_before = atomic_load(&releases);
    unsigned naps = hold_milliseconds;

    hold_milliseconds = 0;
    atomic_fetch_add(&threads_held, 1);
    while (naps-- > 0 && atomic_load(&releases) == releases_before)
        kernel_call(SYS_nanosleep, arguments);
    atomic_fetch_sub(&threads_held, 1);
}

static bool is_refused(const struct faulty_plan *plan, unsigned kind,
                       const long a[6])
{
    if (!passes_filter(plan, kind, a))
        return false;
    if (!is_chosen(plan, atomic_fetch_add(&calls_counted, 1) + 1))
        return false;
    atomic_fetch_add(&calls_refused, 1);
    return true;
}

/* The first half of the pages, rounded down. */
static void do_half(long number, const long a[6])
{
    const unsigned long page = 4096;
    const long half[6] = {a[0], (long)((unsigned long)a[1] / 2 / page * page),
                          a[2]};

    if (half[1] > 0)
        kernel_call(number, half);
}

long syscall(long number, ...)
{
    const struct faulty_plan *plan;
    long arguments[6];
    va_list list;
    long result;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);

    if (hold_milliseconds != 0 &&
        (kind_of(number) & (FAULTY_MMAP | FAULTY_MPROTECT)))
        wait_for_release();
    plan = atomic_load(&plan_in_use);
    if (plan && is_refused(plan, kind_of(number), arguments)) {
        if (plan->partly && number == SYS_madvise)
            do_half(number, arguments);
        errno = plan->error ? plan->error : ENOMEM;
        return -1;
    }
    result = kernel_call(number, arguments);
    if (result < 0 && result >= -4095) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

void faulty_use(const struct faulty_plan *plan)
{
    atomic_store(&plan_in_use, NULL);
    atomic_store(&calls_counted, 0);
    atomic_store(&calls_refused, 0);
    atomic_store(&plan_in_use, plan);
}

unsigned long faulty_calls_counted(void)
{
    return atomic_load(&calls_counted);
}

unsigned long faulty_calls_refused(void)
{
    return atomic_load(&calls_refused);
}

void faulty_mark_this_thread(bool marked)
{
    this_thread_is_marked = marked;
}

void faulty_hold_next_call(unsigned milliseconds)
{
    hold_milliseconds = milliseconds;
}

bool faulty_hold_is_over(void)
{
    return hold_milliseconds == 0;
}

unsigned faulty_threads_held(void)
{
    return atomic_load(&threads_held);
}

void faulty_release(void)
{
    atomic_fetch_add(&releases, 1);
}
