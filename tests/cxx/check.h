/*
 * check.h - what the C++ programs here are written with: a condition that must
 * hold, and a child that must die.
 */
#ifndef PTM_TESTS_CXX_CHECK_H
#define PTM_TESTS_CXX_CHECK_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,         \
                    #condition);                                               \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

/* No object can be so large. The compiler must not know. */
static volatile size_t too_large = ~(size_t)0 >> 1;

template <typename T> static T *opaque(T *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

/* Whether what is done in a child ends it by SIGABRT. */
template <typename Deed> static bool aborts(Deed deed)
{
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        close(2);
        deed();
        _exit(0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#endif
