/*
 * unit.h - what every module test begins with: cmocka, and the expectations of
 * trial.h for code that runs in other threads and in children.
 *
 * cmocka's assertions belong to the main thread of the program itself. A
 * thread or a child says MUST.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base.h"
#include "trial.h"

#define count_of(array) (sizeof(array) / sizeof(array)[0])

#if defined(__SANITIZE_THREAD__)
#define UNIT_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNIT_UNDER_TSAN 1
#endif
#endif
#ifndef UNIT_UNDER_TSAN
#define UNIT_UNDER_TSAN 0
#endif

/* What an overflow does to a chunk: all 8 bytes of its size word. */
static inline void overwrite_word(void *chunk, uint64_t word)
{
    memcpy((char *)chunk + 8, &word, sizeof word);
}

/* A program that hangs ends by the watchdog, which is generous. */
#define UNIT_WATCHDOG_SECONDS 200

/* The whole of main(): the watchdog, and the tests of this array. */
#define UNIT_RUN(tests)                                                        \
    (trial_watch_for(UNIT_WATCHDOG_SECONDS),                                   \
     cmocka_run_group_tests(tests, NULL, NULL))

#endif
