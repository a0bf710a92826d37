/*
 * tsan.c - shows the allocator's mappings to the thread sanitizer.
 *
 * The allocator maps and unmaps through syscall(), which the sanitizer does
 * not see. Memory that one thread unmapped and another one mapped again would
 * then look like the same memory, used by both without any order. So each new
 * mapping is made a second time at the same place through libc's mmap, which
 * the sanitizer does see: it forgets what it knew of the place. A mapping that
 * was moved or enlarged keeps its contents while that is done.
 *
 * The linker lets every other file of the program call this syscall()
 * (--wrap=syscall); the one called here is libc's, or that of
 * faulty_syscall.c, and has the first word. Who asks how many threads there are
 * is not told of the sanitizer's. And barriers in other threads are refused:
 * the sanitizer does not know what order they make (docs/visit.pml does).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

const char *__tsan_default_options(void);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    /* A second for each of many children; and these make threads. */
    return "atexit_sleep_ms=0:die_after_fork=0";
}

static void map_again(void *start, size_t length, int protection, int flags)
{
    if (mmap(start, length, protection,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (flags & MAP_NORESERVE),
             -1, 0) != start) {
        abort();
    }
}

/* A copy that the sanitizer does not see: volatile, so that it is not made a
 * call of memcpy. Mappings are whole words long. */
__attribute__((no_sanitize("thread"))) static void
copy_unseen(void *to, const void *from, size_t length)
{
    volatile uint64_t *target = to;
    const volatile uint64_t *source = from;
    for (size_t i = 0; i < length / sizeof *target; i++) {
        target[i] = source[i];
    }
}

static void map_again_with_contents(void *start, size_t old_length,
                                    size_t length)
{
    size_t kept = old_length < length ? old_length : length;
    void *copy = mmap(NULL, kept, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) {
        abort();
    }
    copy_unseen(copy, start, kept);
    map_again(start, length, PROT_READ | PROT_WRITE, 0);
    copy_unseen(start, copy, kept);
    munmap(copy, kept);
}

long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    if (number == SYS_membarrier) {
        errno = ENOSYS;
        return -1;
    }
    long result = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_mmap && result != -1) {
        map_again((void *)result, (size_t)a[1], (int)a[2], (int)a[3]);
    }
    if (number == SYS_mremap && result != -1) {
        map_again_with_contents((void *)result, (size_t)a[1], (size_t)a[2]);
    }
    if (number == SYS_newfstatat && result == 0) {
        ((struct stat *)a[2])->st_nlink--; /* the sanitizer's own thread */
    }
    return result;
}
