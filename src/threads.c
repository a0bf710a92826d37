/*
 * threads.c - the functions of libc that the helper must hear of.
 *
 * In a shared library these stand before libc's own, and call them. What is
 * linked from the archive leaves libc's alone, as a static program has no
 * second pthread_create to call: there is no helper in it.
 */
#define _GNU_SOURCE
#include "base.h"

#if PTM_SHARED

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arenas.h"
#include "guard.h"
#include "helper.h"
#include "life.h"
#include "limit.h"
#include "sleepers.h"

/* The function of that name that comes next in the order of libraries; all
 * threads find the same. */
static void *next_one(const char *name, void **known)
{
    void *next = __atomic_load_n(known, __ATOMIC_RELAXED);
    if (next == NULL) {
        next = dlsym(RTLD_NEXT, name);
        __atomic_store_n(known, next, __ATOMIC_RELAXED);
    }
    return next;
}

PTM_EXPORT int pthread_create(pthread_t *made, const pthread_attr_t *attributes,
                              void *(*start)(void *), void *argument)
{
    static void *known;
    thread_maker *make = (thread_maker *)next_one("pthread_create", &known);
    life_before_thread();
    int result = make(made, attributes, start, argument);
    if (result == 0) {
        helper_start(make);
    }
    return result;
}

/* The kernel asks for a process with one thread, or for a thread that shares
 * its root and working directory with no other. */
static const int for_one_thread =
    CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_FS;

PTM_EXPORT int unshare(int flags)
{
    static void *known;
    if ((flags & for_one_thread) != 0) {
        helper_stop();
    }
    return ((int (*)(int))next_one("unshare", &known))(flags);
}

/* A type of 0 is any. */
PTM_EXPORT int setns(int file, int type)
{
    static void *known;
    if (type == 0 || (type & ~(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                               CLONE_NEWPID | CLONE_NEWCGROUP)) != 0) {
        helper_stop();
    }
    return ((int (*)(int, int))next_one("setns", &known))(file, type);
}

/* What a thread gives up by this, and the filters that it may then set for its
 * system calls, hold for no other thread that is there: so the helper would be
 * outside of the program's sandbox. Asked of the kernel here, as libc does
 * nothing else, and the child of a fork in which another thread was loading a
 * library cannot look for libc's. Guarded blocks end as well: they need system
 * calls that a program without them would not make, and so do visits to threads
 * that sleep; and what is to be read of
 * files is read, as a sandbox may kill who opens one. */
PTM_EXPORT int prctl(int option, ...)
{
    va_list list;
    unsigned long arguments[4];
    va_start(list, option);
    for (int i = 0; i < 4; i++) {
        arguments[i] = va_arg(list, unsigned long);
    }
    va_end(list);
    if (option == PR_SET_NO_NEW_PRIVS || option == PR_SET_SECCOMP) {
        helper_stop();
        guard_be_quiet();
        sleepers_be_quiet();
        limit_look_ahead();
        arenas_count_cpus();
    }
    return (int)syscall(SYS_prctl, option, arguments[0], arguments[1],
                        arguments[2], arguments[3]);
}

/* Libc has it, and no header for it. */
int capset(void *header, const void *data);

/* It is for one thread; a program that has no other means it for all. */
PTM_EXPORT int capset(void *header, const void *data)
{
    static void *known;
    helper_stop();
    return ((int (*)(void *, const void *))next_one("capset", &known))(header,
                                                                       data);
}
#endif
